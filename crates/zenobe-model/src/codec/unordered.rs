//! Writing encoded values as a request brings them: names in any order, some of them twice, and sizes
//! known only at the end.
//!
//! Members of a map are written as they come and put in order when it ends; of those with the same name
//! the last counts. There is no tree between the request and what is stored.

use std::cmp::Ordering;

use bytes::Bytes;

use super::build::{
    begin_container, count, finish_container, patch_u32, push_bytes, push_header, push_number,
    push_value,
};
use super::{EncodedItem, HEADER_BYTES, ItemHeader, RawValue, tag};
use crate::number::Number;
use crate::size::{CONTAINER_BYTES, ELEMENT_BYTES, number_size, value_size};
use crate::value::AttributeValue;

/// Writes values and items, one after the other, into room that is used again.
///
/// ```
/// use zenobe_model::codec::{ItemHeader, ValueWriter};
///
/// let mut writer = ValueWriter::default();
/// let item = writer.begin_item();
/// for (name, value) in [("b", "1"), ("a", "2"), ("b", "3")] {
///     writer.member(name);
///     writer.text(value);
/// }
/// let item = writer.finish_item(item, ItemHeader::default());
/// assert_eq!(format!("{item:?}"), r#"{"a": S("2"), "b": S("3")}"#);
/// assert_eq!(item.size_bytes(), 4);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ValueWriter {
    bytes: Vec<u8>,
    size: usize,
    /// The members of the maps that are open, those of the innermost last.
    members: Vec<Member>,
    /// Room to put a map in order.
    ordered: Vec<u8>,
}

/// A member of a map, which reaches to where the next one starts.
#[derive(Clone, Copy, Debug)]
struct Member {
    start: usize,
    /// The first bytes of its name, as a number that is in order as names are.
    name_head: u64,
    name_start: usize,
    name_end: usize,
    /// The size of all that was written before it.
    size_before: usize,
}

/// A member with its end.
#[derive(Clone, Copy)]
struct Part {
    member: Member,
    end: usize,
    size: usize,
}

/// A place in what was written.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    start: usize,
    size: usize,
    members: usize,
}

impl ValueWriter {
    /// A writer with room for values of so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// The place where the next value will be.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { start: self.bytes.len(), size: self.size, members: self.members.len() }
    }

    /// Takes back all that was written from a place on.
    pub fn take_back(&mut self, mark: Mark) {
        self.bytes.truncate(mark.start);
        self.size = mark.size;
        self.members.truncate(mark.members);
    }

    /// Writes `NULL`.
    pub fn null(&mut self) {
        self.bytes.push(tag::NULL);
        self.size += 1;
    }

    /// Writes a `BOOL`.
    pub fn boolean(&mut self, value: bool) {
        self.bytes.push(if value { tag::TRUE } else { tag::FALSE });
        self.size += 1;
    }

    /// Writes an `S`.
    pub fn text(&mut self, value: &str) {
        self.bytes.push(tag::S);
        push_bytes(&mut self.bytes, value.as_bytes());
        self.size += value.len();
    }

    /// Writes an `N`.
    pub fn number(&mut self, value: Number) {
        self.bytes.push(tag::N);
        push_number(&mut self.bytes, value);
        self.size += number_size(value);
    }

    /// Writes a `B`.
    pub fn binary(&mut self, value: &[u8]) {
        self.bytes.push(tag::B);
        push_bytes(&mut self.bytes, value);
        self.size += value.len();
    }

    /// Writes a value of any type.
    pub fn value(&mut self, value: &AttributeValue) {
        push_value(&mut self.bytes, value);
        self.size += value_size(value);
    }

    /// Begins an `L`; [`Self::end_list`] ends it.
    #[must_use]
    pub fn begin_list(&mut self) -> Mark {
        self.begin(tag::L)
    }

    /// Ends a list of so many elements.
    pub fn end_list(&mut self, list: Mark, elements: usize) {
        self.end(list, elements);
    }

    /// Begins an `M`; [`Self::end_map`] ends it.
    #[must_use]
    pub fn begin_map(&mut self) -> Mark {
        self.begin(tag::M)
    }

    /// Begins a member of the innermost map; its value is written next.
    pub fn member(&mut self, name: &str) {
        let (start, size_before) = (self.bytes.len(), self.size);
        push_bytes(&mut self.bytes, name.as_bytes());
        let name_end = self.bytes.len();
        let name_start = name_end - name.len();
        let name_head = head(name.as_bytes());
        self.members.push(Member { start, name_head, name_start, name_end, size_before });
        self.size += name.len();
    }

    /// Ends a map.
    pub fn end_map(&mut self, map: Mark) {
        let elements = match self.out_of_order(map) {
            None => self.members.len() - map.members,
            Some(parts) => {
                let mut ordered = std::mem::take(&mut self.ordered);
                ordered.clear();
                self.size = map.size + self.copy_parts(&parts, &mut ordered);
                self.bytes.truncate(map.start + CONTAINER_HEAD_BYTES);
                self.bytes.extend_from_slice(&ordered);
                self.ordered = ordered;
                parts.len()
            }
        };
        self.members.truncate(map.members);
        self.end(map, elements);
    }

    /// Begins an item; [`Self::finish_item`] ends it.
    #[must_use]
    pub fn begin_item(&mut self) -> Mark {
        self.mark()
    }

    /// Ends an item and takes it out.
    #[must_use]
    pub fn finish_item(&mut self, item: Mark, header: ItemHeader) -> EncodedItem {
        let written = self.bytes.len() - item.start;
        // Exactly the room that it needs: items stay in caches.
        let mut bytes = Vec::with_capacity(HEADER_BYTES + written);
        push_header(&mut bytes, header);
        let (size, elements) = match self.out_of_order(item) {
            None => {
                bytes.extend_from_slice(self.bytes.get(item.start..).unwrap_or_default());
                (self.size - item.size, self.members.len() - item.members)
            }
            Some(parts) => (self.copy_parts(&parts, &mut bytes), parts.len()),
        };
        self.take_back(item);
        patch_u32(&mut bytes, 11, size);
        patch_u32(&mut bytes, 15, elements);
        EncodedItem(Bytes::from(bytes.into_boxed_slice()))
    }

    /// Takes a value out that was written whole.
    #[must_use]
    pub fn finish_value(&mut self, value: Mark) -> AttributeValue {
        let bytes = self.bytes.get(value.start..).unwrap_or_default();
        let tree = RawValue::new(bytes).to_owned();
        self.take_back(value);
        tree
    }

    fn begin(&mut self, tag: u8) -> Mark {
        let mark = self.mark();
        self.bytes.push(tag);
        begin_container(&mut self.bytes);
        mark
    }

    fn end(&mut self, container: Mark, elements: usize) {
        finish_container(&mut self.bytes, container.start + 1, count(elements));
        self.size += CONTAINER_BYTES + ELEMENT_BYTES * elements;
    }

    fn name(&self, member: &Member) -> &[u8] {
        self.bytes.get(member.name_start..member.name_end).unwrap_or_default()
    }

    /// The members of the map that was begun last in their order, each name once; `None` if that is how
    /// they were written.
    fn out_of_order(&self, map: Mark) -> Option<Vec<Part>> {
        let members = self.members.get(map.members..).unwrap_or_default();
        if members.is_sorted_by(|left, right| self.by_name(left, right).is_lt()) {
            return None;
        }
        let behind = members.iter().map(|member| (member.start, member.size_before));
        let ends = behind.skip(1).chain([(self.bytes.len(), self.size)]);
        let part = |(member, (end, size_behind)): (&Member, (usize, usize))| Part {
            member: *member,
            end,
            size: size_behind - member.size_before,
        };
        let mut parts: Vec<Part> = members.iter().zip(ends).map(part).collect();
        // The last of those with one name comes first, and stays.
        parts.sort_unstable_by(|Part { member: left, .. }, Part { member: right, .. }| {
            self.by_name(left, right).then(right.start.cmp(&left.start))
        });
        parts.dedup_by(|next, first| self.by_name(&next.member, &first.member).is_eq());
        Some(parts)
    }

    fn by_name(&self, left: &Member, right: &Member) -> Ordering {
        let heads = left.name_head.cmp(&right.name_head);
        heads.then_with(|| self.name(left).cmp(self.name(right)))
    }

    /// Copies members, and says how large they are.
    fn copy_parts(&self, parts: &[Part], out: &mut Vec<u8>) -> usize {
        for part in parts {
            out.extend_from_slice(self.bytes.get(part.member.start..part.end).unwrap_or_default());
        }
        parts.iter().map(|part| part.size).sum()
    }
}

/// The first bytes of a name, those that it lacks as zeros.
fn head(name: &[u8]) -> u64 {
    let mut head = [0; 8];
    head.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(head)
}

/// The tag of a container, its length and its count.
const CONTAINER_HEAD_BYTES: usize = 9;
