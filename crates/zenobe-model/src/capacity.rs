//! Capacity arithmetic. Reads are counted in half read units, so that all figures are integers.
//!
//! Source: Developer Guide, "DynamoDB throughput capacity" and "Managing settings".

use std::collections::BTreeMap;

/// Bytes that one strongly consistent read unit covers.
pub const READ_UNIT_BYTES: usize = 4096;
/// Bytes that one write unit covers.
pub const WRITE_UNIT_BYTES: usize = 1024;

/// Half units: two of them are one capacity unit. A write unit is two half units here, so that
/// reads and writes share one type on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HalfUnits(pub u64);

impl HalfUnits {
    /// What reading `bytes` costs: at least one unit if consistent, half of it if not.
    #[must_use]
    pub const fn read(bytes: usize, consistent: bool) -> Self {
        let units = if bytes == 0 { 1 } else { bytes.div_ceil(READ_UNIT_BYTES) as u64 };
        Self(if consistent { units * 2 } else { units })
    }

    /// What writing an item of `bytes` costs: at least one unit.
    #[must_use]
    pub const fn write(bytes: usize) -> Self {
        let units = if bytes == 0 { 1 } else { bytes.div_ceil(WRITE_UNIT_BYTES) as u64 };
        Self(units * 2)
    }

    /// What the same costs in a transaction: the item is read or written twice, once to prepare and
    /// once to commit.
    #[must_use]
    pub const fn transactional(self) -> Self {
        Self(self.0.saturating_mul(2))
    }

    /// The figure of the wire, in capacity units.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "capacity figures are far below 2^53")]
    pub fn units(self) -> f64 {
        self.0 as f64 / 2.0
    }
}

impl std::ops::Add for HalfUnits {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::AddAssign for HalfUnits {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for HalfUnits {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self(0), |a, b| a + b)
    }
}

/// `ConsumedCapacity` of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumedCapacity {
    /// `TableName`
    pub table_name: String,
    /// `CapacityUnits`: the sum over the table and its indexes.
    pub total: HalfUnits,
    /// With `INDEXES`: what the table and each index consumed.
    pub detail: Option<CapacityDetail>,
    /// Which of `ReadCapacityUnits` and `WriteCapacityUnits` repeats the figures: transactions say so,
    /// other operations do not.
    pub direction: Option<CapacityDirection>,
}

/// Whether capacity was consumed by reading or by writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapacityDirection {
    /// `ReadCapacityUnits`
    Read,
    /// `WriteCapacityUnits`
    Write,
}

/// What `INDEXES` adds. Indexes that consumed nothing are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapacityDetail {
    /// `Table`
    pub table: HalfUnits,
    /// `LocalSecondaryIndexes`
    pub local_secondary_indexes: BTreeMap<String, HalfUnits>,
    /// `GlobalSecondaryIndexes`
    pub global_secondary_indexes: BTreeMap<String, HalfUnits>,
}
