//! The binary item format: how items are stored, read in part, and turned into JSON without a tree.

use bytes::Bytes;

/// A whole item in the binary format. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedItem(Bytes);

/// A value inside an [`EncodedItem`], decoded as far as its type.
#[derive(Clone, Copy, Debug)]
pub struct ValueRef<'a>(std::marker::PhantomData<&'a ()>);
