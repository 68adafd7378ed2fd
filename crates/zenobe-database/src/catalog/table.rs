//! What is known about a table: keys, indexes, settings.
//!
//! A [`Table`] is an immutable snapshot. Whoever works on a table holds an `Arc<Table>`; every
//! change of the table publishes a new one. The same types are what is stored: the CBOR field
//! numbers (`#[n(..)]`) are a file format, so a number is never given a new meaning, and a field
//! that is added later is an `Option` or has `#[cbor(default)]`.

use std::sync::Arc;

use minicbor::{Decode, Encode};
use zenobe_model::operation::{
    BillingMode, OnDemandThroughput, ProvisionedThroughputDescription, ResourceStatus,
    StreamViewType, TableClass, WarmThroughput,
};
use zenobe_model::value::ValueType;
use zenobe_storage::{Lane, SpaceId, Version};

use super::expiry::ExpiryIndex;
use super::{Counters, Figures, stored};
use crate::stream::Writer;

/// An attribute that is part of a key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KeyAttribute {
    /// The attribute's name.
    #[n(0)]
    pub name: String,
    /// Its type: S, N or B.
    #[cbor(n(1), with = "stored::value_type")]
    pub ty: ValueType,
}

/// The key of a table or of a local secondary index.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KeySchema {
    /// The partition key.
    #[n(0)]
    pub partition: KeyAttribute,
    /// The sort key.
    #[n(1)]
    pub sort: Option<KeyAttribute>,
}

impl KeySchema {
    /// The attributes of the key: the partition key, then the sort key.
    pub fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.partition).chain(&self.sort)
    }
}

/// Which attributes an index holds beside the keys of the table and its own.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum IndexProjection {
    /// All of them.
    #[n(0)]
    All,
    /// None.
    #[n(1)]
    KeysOnly,
    /// These, sorted and without duplicates.
    #[n(2)]
    Include(#[n(0)] Vec<String>),
}

/// A local secondary index.
#[derive(Clone, Debug, Encode, Decode)]
pub struct LocalIndex {
    /// `IndexName`
    #[n(0)]
    pub name: String,
    /// Its place among the table's local secondary indexes; decides its [`Lane`].
    #[n(1)]
    pub ordinal: u8,
    /// The table's partition key with a sort key of its own.
    #[n(2)]
    pub key: KeySchema,
    /// What it holds.
    #[n(3)]
    pub projection: IndexProjection,
    /// How many entries it has, and their size.
    #[cbor(skip)]
    pub counters: Arc<Counters>,
}

impl LocalIndex {
    /// The lane of its entries, within the table's space.
    #[must_use]
    pub const fn lane(&self) -> Lane {
        Lane::local_index(self.ordinal)
    }
}

/// Where an index is in its life. [`crate::background`] tells why creation takes two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum IndexState {
    /// It cannot be read yet.
    #[n(0)]
    Creating {
        /// Whether writes add entries, and older items are being added. Before that, writes only
        /// remove entries: there may be writes that do not know the index.
        #[n(0)]
        backfilling: bool,
    },
    /// It holds an entry for every item that has its keys.
    #[n(1)]
    Active,
    /// Nothing reads or writes it; its space is about to be dropped.
    #[n(2)]
    Deleting,
}

/// What a write does about its item's entry in an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upkeep {
    /// Removes an entry that is wrong after it, and adds none.
    RemoveOnly,
    /// Removes the entry before and puts the one after, even if they are the same: it may not have
    /// been made yet.
    Always,
    /// Does what changes the entry.
    Changes,
}

impl IndexState {
    /// What a write does about its item's entry; `None`: nothing.
    pub(crate) const fn upkeep(self) -> Option<Upkeep> {
        match self {
            Self::Creating { backfilling: false } => Some(Upkeep::RemoveOnly),
            Self::Creating { backfilling: true } => Some(Upkeep::Always),
            Self::Active => Some(Upkeep::Changes),
            Self::Deleting => None,
        }
    }
}

/// A global secondary index.
#[derive(Clone, Debug, Encode, Decode)]
pub struct GlobalIndex {
    /// `IndexName`
    #[n(0)]
    pub name: String,
    /// Where its entries live.
    #[cbor(n(1), with = "stored::space_id")]
    pub space: SpaceId,
    /// The partition key: 1 to 4 attributes.
    #[n(2)]
    pub partition: Vec<KeyAttribute>,
    /// The sort key: 0 to 4 attributes.
    #[n(3)]
    pub sort: Vec<KeyAttribute>,
    /// What it holds.
    #[n(4)]
    pub projection: IndexProjection,
    /// Where it is in its life.
    #[n(5)]
    pub state: IndexState,
    /// `ProvisionedThroughput`; 0 on demand.
    #[cbor(n(7), with = "stored::provisioned")]
    pub provisioned_throughput: ProvisionedThroughputDescription,
    /// `OnDemandThroughput`
    #[cbor(n(8), with = "stored::on_demand", has_nil)]
    pub on_demand_throughput: Option<OnDemandThroughput>,
    /// `WarmThroughput`
    #[cbor(n(9), with = "stored::warm", has_nil)]
    pub warm_throughput: Option<WarmThroughput>,
    /// How many entries it has, and their size.
    #[cbor(skip)]
    pub counters: Arc<Counters>,
}

impl GlobalIndex {
    /// Whether a write of an item must keep this index.
    #[must_use]
    pub const fn is_written(&self) -> bool {
        !matches!(self.state, IndexState::Deleting)
    }

    /// Whether Query and Scan may read this index.
    #[must_use]
    pub const fn is_readable(&self) -> bool {
        matches!(self.state, IndexState::Active)
    }

    /// The attributes of the key: those of the partition key, then those of the sort key.
    pub fn key_attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        self.partition.iter().chain(&self.sort)
    }
}

/// An index of a table, by its name.
#[derive(Clone, Copy, Debug)]
pub enum Index<'a> {
    /// A local secondary index.
    Local(&'a LocalIndex),
    /// A global secondary index.
    Global(&'a GlobalIndex),
}

/// The encryption that was asked for. Described truthfully; not enforced by the engine.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Encryption {
    /// The ARN of the key that was named, if one was.
    #[n(0)]
    pub kms_key_arn: Option<String>,
}

/// A table: an immutable snapshot, replaced as a whole on each change.
#[derive(Clone, Debug, Encode, Decode)]
pub struct Table {
    /// `TableId`: a UUID. A table that is deleted and created again has another one.
    #[n(0)]
    pub id: String,
    /// `TableName`
    #[n(1)]
    pub name: String,
    /// `TableArn`; follows from the configured Region and account, and is not stored.
    #[cbor(skip)]
    pub arn: String,
    /// Where its items and the entries of its local secondary indexes live.
    #[cbor(n(2), with = "stored::space_id")]
    pub space: SpaceId,
    /// Its key.
    #[n(3)]
    pub key: KeySchema,
    /// Its local secondary indexes, in the order in which they were given.
    #[n(4)]
    pub local_indexes: Vec<LocalIndex>,
    /// Its global secondary indexes, in the order in which they were given.
    #[n(5)]
    pub global_indexes: Vec<GlobalIndex>,
    /// `AttributeDefinitions`, sorted by name.
    #[n(6)]
    pub attribute_definitions: Vec<KeyAttribute>,
    /// Whether the table itself is being created or deleted. A table whose indexes are being
    /// changed is [`ResourceStatus::Active`] here: see [`Table::described_status`].
    #[cbor(n(7), with = "stored::status")]
    pub status: ResourceStatus,
    /// `BillingMode`
    #[cbor(n(8), with = "stored::billing_mode")]
    pub billing_mode: BillingMode,
    /// When the table last became PAY_PER_REQUEST, milliseconds since the epoch.
    #[n(9)]
    pub last_on_demand_ms: Option<u64>,
    /// `ProvisionedThroughput`; 0 on demand.
    #[cbor(n(10), with = "stored::provisioned")]
    pub provisioned_throughput: ProvisionedThroughputDescription,
    /// `OnDemandThroughput`
    #[cbor(n(11), with = "stored::on_demand", has_nil)]
    pub on_demand_throughput: Option<OnDemandThroughput>,
    /// `WarmThroughput`
    #[cbor(n(12), with = "stored::warm", has_nil)]
    pub warm_throughput: Option<WarmThroughput>,
    /// `TableClass`; absent unless it was given.
    #[cbor(n(13), with = "stored::table_class", has_nil)]
    pub table_class: Option<TableClass>,
    /// When the class was last changed, milliseconds since the epoch.
    #[n(14)]
    pub table_class_changed_ms: Option<u64>,
    /// `StreamViewType`, while the stream is enabled.
    #[cbor(n(15), with = "stored::stream", has_nil)]
    pub stream: Option<StreamViewType>,
    /// `LatestStreamLabel`; stays when the stream is disabled.
    #[n(16)]
    pub stream_label: Option<String>,
    /// What `SSESpecification` asked for; absent: the default encryption.
    #[n(17)]
    pub encryption: Option<Encryption>,
    /// `DeletionProtectionEnabled`
    #[n(18)]
    pub deletion_protection: bool,
    /// `CreationDateTime`, milliseconds since the epoch.
    #[n(19)]
    pub creation_ms: u64,
    /// Tags, sorted by key.
    #[cbor(n(20), with = "stored::tags")]
    pub tags: Vec<zenobe_model::operation::Tag>,
    /// The indexes of items by the time at which they expire: one while time to live is enabled,
    /// and those that are being deleted.
    #[cbor(n(21), with = "stored::expiry_indexes", has_nil)]
    pub expiry_indexes: Vec<ExpiryIndex>,
    /// The version of the stored row that this is, for the next change of it.
    #[cbor(skip)]
    pub(crate) row_version: Option<Version>,
    /// The version of the row with which the table came to be, if this process has seen that.
    #[cbor(skip)]
    pub(crate) created: Option<Version>,
    /// In which epoch of this process the snapshot was published ([`super::agreement`]).
    #[cbor(skip)]
    pub(crate) epoch: u64,
    /// How many items it has, and their size.
    #[cbor(skip)]
    pub counters: Arc<Counters>,
    /// The figures that the counters began with.
    #[cbor(skip)]
    pub(crate) restored: Arc<Figures>,
    /// The stream that its writes go to; all snapshots of the table share it.
    #[cbor(skip)]
    pub(crate) writer: Arc<Writer>,
}

impl Table {
    /// The index with this name. One that is being deleted counts as gone.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<Index<'_>> {
        let local = self.local_indexes.iter().find(|index| index.name == name);
        local.map(Index::Local).or_else(|| {
            self.global_indexes
                .iter()
                .find(|index| index.name == name && index.is_written())
                .map(Index::Global)
        })
    }

    /// `TableStatus`: UPDATING while an index is being set up or deleted, but no longer while it is
    /// being backfilled.
    #[must_use]
    pub fn described_status(&self) -> ResourceStatus {
        let changing = self.global_indexes.iter().any(|index| match index.state {
            IndexState::Creating { backfilling } => !backfilling,
            IndexState::Deleting => true,
            IndexState::Active => false,
        });
        if matches!(self.status, ResourceStatus::Active) && changing {
            ResourceStatus::Updating
        } else {
            self.status
        }
    }

    /// The index of items by the time at which they expire, while time to live is enabled or about
    /// to be.
    #[must_use]
    pub fn expiry_index(&self) -> Option<&ExpiryIndex> {
        self.expiry_indexes.iter().find(|index| index.is_written())
    }

    /// What the background work on this table is called where processes share it out.
    pub(crate) fn work(&self) -> String {
        format!("table/{}", self.id)
    }

    /// The spaces that hold the table and its indexes.
    pub(crate) fn spaces(&self) -> impl Iterator<Item = SpaceId> {
        std::iter::once(self.space)
            .chain(self.global_indexes.iter().map(|index| index.space))
            .chain(self.expiry_indexes.iter().map(|index| index.space))
    }

    /// The type of an attribute that is part of some key of the table or its indexes.
    #[must_use]
    pub fn key_attribute_type(&self, name: &str) -> Option<ValueType> {
        self.attribute_definitions
            .iter()
            .find(|attribute| attribute.name == name)
            .map(|attribute| attribute.ty)
    }
}
