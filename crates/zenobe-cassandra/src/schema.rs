//! What is in the keyspace: the tables of spaces, and those of the engine's own.
//!
//! | table | primary key | holds |
//! |---|---|---|
//! | `spaces` | registry (always 0), space | which spaces there are, and the incarnation of each |
//! | `nodes` | id | which process uses which node number, until when (by TTL); at 0 the data centre ([`crate::datacenter`]) |
//! | `log` | shard, position | the change log ([`crate::log`]) |
//! | `instances` | registry (always 0), instance | which processes may have left derived rows unwritten ([`crate::instance`]) |
//! | `marks` | instance and bucket, space, incarnation, part | in which partitions ([`crate::marks`]) |
//! | `anchors` | as a space's | a partition for each commit that names no key |
//! | `s<space>_<incarnation>` | part, lane, sort | a space |
//!
//! A space made again after a drop has another incarnation and so another table: nothing late that is meant
//! for the old one can reach it. A table's id is derived from its name, so that two nodes that make it at
//! once make the same one; Cassandra would otherwise give it two ids and lose the rows of one.

use scylla::statement::prepared::PreparedStatement;
use zenobe_storage::SpaceId;

use crate::client::{Bind, Client, Failure};

/// The key of the one partition that `spaces` and `instances` have. It is bound like any key, so that the driver knows
/// the partition's replicas.
pub(crate) const REGISTRY: Bind = Bind::Small(0);
/// The lane of a partition's header row, before all others.
pub(crate) const HEADER_LANE: i16 = -1;
/// The lane of the traces of commits whose records are not marked in the log yet, after all others.
pub(crate) const TRACE_LANE: i16 = 256;

/// The tables of the engine's own with what is between their parentheses.
pub(crate) const OWN_TABLES: [(&str, &str); 6] = [
    (
        "spaces",
        "registry smallint, space bigint, incarnation bigint, state smallint, PRIMARY KEY (registry, space)",
    ),
    ("nodes", "id int PRIMARY KEY, instance blob"),
    (
        "log",
        "shard bigint, position bigint, clock bigint, closed boolean, space bigint, incarnation bigint, \
         part blob, records blob, done boolean, PRIMARY KEY (shard, position)",
    ),
    (
        "instances",
        "registry smallint, instance blob, fenced boolean, last bigint, alive boolean, taker blob, \
         PRIMARY KEY (registry, instance)",
    ),
    (
        "marks",
        "instance blob, bucket smallint, space bigint, incarnation bigint, part blob, since bigint, \
         PRIMARY KEY ((instance, bucket), space, incarnation, part)",
    ),
    ("anchors", SPACE_COLUMNS),
];

/// `checked` is never written: a condition on a row needs a statement that changes nothing, and one that sets this
/// column to no value at all is one. A deletion of it would be as good, but Cassandra keeps each deletion for ten days.
const SPACE_COLUMNS: &str = "part blob, lane smallint, sort blob, version bigint, value blob, checked boolean, \
     PRIMARY KEY (part, lane, sort)";

/// A table of rows, by its name: a space's incarnation, or the anchors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TableName {
    /// The space; `None` for the anchors.
    pub(crate) space: Option<SpaceId>,
    /// The version that the registry gave when the space was made; 0 for the anchors.
    pub(crate) incarnation: i64,
}

impl TableName {
    /// The table of commits without keys.
    pub(crate) const ANCHORS: Self = Self { space: None, incarnation: 0 };

    fn text(self) -> String {
        match self.space {
            Some(space) => format!("s{:016x}_{:016x}", space.0, self.incarnation),
            None => "anchors".to_owned(),
        }
    }
}

fn table_id(keyspace: &str, table: &str) -> String {
    let hash = xxhash_rust::xxh3::xxh3_128(format!("{keyspace}.{table}").as_bytes());
    // A name-based UUID, of version 8 and the usual variant.
    let id = (hash & !(0xf << 76) & !(0b11 << 62)) | (0x8 << 76) | (0b10 << 62);
    let hex = format!("{id:032x}");
    let mut text = String::with_capacity(36);
    for (index, digit) in hex.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

fn create_table(keyspace: &str, table: &str, columns: &str) -> String {
    let id = table_id(keyspace, table);
    format!("CREATE TABLE IF NOT EXISTS {keyspace}.{table} ({columns}) WITH ID = {id}")
}

/// The statements that make the engine's own tables.
pub(crate) fn create_own_tables(keyspace: &str) -> Vec<String> {
    OWN_TABLES.iter().map(|(table, columns)| create_table(keyspace, table, columns)).collect()
}

pub(crate) fn create_space_table(keyspace: &str, table: TableName) -> String {
    create_table(keyspace, &table.text(), SPACE_COLUMNS)
}

pub(crate) fn drop_space_table(keyspace: &str, table: TableName) -> String {
    format!("DROP TABLE IF EXISTS {keyspace}.{}", table.text())
}

/// The prepared statements of a table of rows.
pub(crate) struct Table {
    pub(crate) name: TableName,
    /// ttl, version, part, lane, sort, expected version: the header of a partition that has none.
    pub(crate) header_new: PreparedStatement,
    /// ttl, version, part, lane, sort, version: the header of a partition whose clock is behind.
    pub(crate) header_later: PreparedStatement,
    /// version, value, part, lane, sort
    pub(crate) put: PreparedStatement,
    /// version, value, part, lane, sort, expected version
    pub(crate) put_if: PreparedStatement,
    /// part, lane, sort
    pub(crate) delete: PreparedStatement,
    /// part, lane, sort, expected version
    pub(crate) delete_if: PreparedStatement,
    /// nothing ([`Bind::Unset`]), part, lane, sort, expected version
    pub(crate) check: PreparedStatement,
    /// timestamp, version, value, part, lane, sort
    pub(crate) derive: PreparedStatement,
    /// timestamp, part, lane, sort: also the deletion of a derived row.
    pub(crate) forget: PreparedStatement,
    /// part, lane, sort
    pub(crate) get: PreparedStatement,
    /// part, lane, first sort, last sort: version, value
    pub(crate) traces: PreparedStatement,
    /// part, lane, sort, lane, sort
    pub(crate) range: PreparedStatement,
    /// part, lane, sort, lane, sort
    pub(crate) range_backward: PreparedStatement,
    /// first token, last token, lane
    pub(crate) scan: PreparedStatement,
    /// token
    pub(crate) at_token: PreparedStatement,
    /// token, lane, sort, lane, sort
    pub(crate) at_token_within: PreparedStatement,
}

impl Table {
    pub(crate) async fn prepare(
        client: &Client,
        keyspace: &str,
        name: TableName,
    ) -> Result<Self, Failure> {
        let table = format!("{keyspace}.{}", name.text());
        let row = "WHERE part = ? AND lane = ? AND sort = ?";
        let interval = "WHERE part = ? AND (lane, sort) >= (?, ?) AND (lane, sort) < (?, ?)";
        let header = format!("UPDATE {table} USING TTL ? SET version = ? {row} IF version");
        let put = format!("UPDATE {table} SET version = ?, value = ? {row}");
        let range = format!("SELECT part, sort, version, value FROM {table} {interval}");
        let prepare = |text: String| client.prepare(text);
        Ok(Self {
            name,
            header_new: prepare(format!("{header} = ?")).await?,
            header_later: prepare(format!("{header} < ?")).await?,
            put_if: prepare(format!("{put} IF version = ?")).await?,
            put: prepare(put).await?,
            delete_if: prepare(format!("DELETE FROM {table} {row} IF version = ?")).await?,
            delete: prepare(format!("DELETE FROM {table} {row}")).await?,
            check: prepare(format!("UPDATE {table} SET checked = ? {row} IF version = ?")).await?,
            derive: prepare(format!(
                "UPDATE {table} USING TIMESTAMP ? SET version = ?, value = ? {row}"
            ))
            .await?,
            forget: prepare(format!("DELETE FROM {table} USING TIMESTAMP ? {row}")).await?,
            get: prepare(format!("SELECT version, value FROM {table} {row}")).await?,
            traces: prepare(format!(
                "SELECT version, value FROM {table} \
                 WHERE part = ? AND lane = ? AND sort >= ? AND sort <= ?"
            ))
            .await?,
            range_backward: prepare(format!("{range} ORDER BY lane DESC, sort DESC")).await?,
            range: prepare(range).await?,
            scan: prepare(format!(
                "SELECT part, sort, version, value FROM {table} \
                 WHERE token(part) >= ? AND token(part) <= ? AND lane = ? ALLOW FILTERING"
            ))
            .await?,
            at_token: prepare(format!(
                "SELECT part FROM {table} WHERE token(part) = ? PER PARTITION LIMIT 1"
            ))
            .await?,
            at_token_within: prepare(format!(
                "SELECT part FROM {table} WHERE token(part) = ? AND (lane, sort) >= (?, ?) \
                 AND (lane, sort) < (?, ?) PER PARTITION LIMIT 1 ALLOW FILTERING"
            ))
            .await?,
        })
    }
}

/// The prepared statements of the table `log`.
pub(crate) struct LogTable {
    /// shard: clock
    pub(crate) clock: PreparedStatement,
    /// clock, shard, expected clock: of a shard that is not closed.
    pub(crate) clock_new: PreparedStatement,
    /// clock, shard, clock: of a shard that is not closed.
    pub(crate) clock_later: PreparedStatement,
    /// shard
    pub(crate) close: PreparedStatement,
    /// shard, position, space, incarnation, part, records
    pub(crate) reserve: PreparedStatement,
    /// shard, position
    pub(crate) done: PreparedStatement,
    /// timestamp, shard, position
    pub(crate) void: PreparedStatement,
    /// timestamp, shard, last position
    pub(crate) trim: PreparedStatement,
    /// shard, first position, last position
    pub(crate) page: PreparedStatement,
    /// shard, position: done
    pub(crate) state: PreparedStatement,
}

impl LogTable {
    async fn prepare(client: &Client, ks: &str) -> Result<Self, Failure> {
        let prepare = |text: String| client.prepare_keyed(text);
        let clock =
            format!("UPDATE {ks}.log SET clock = ? WHERE shard = ? AND position = 0 IF clock");
        Ok(Self {
            clock: prepare(format!(
                "SELECT clock FROM {ks}.log WHERE shard = ? AND position = 0"
            ))
            .await?,
            clock_new: prepare(format!("{clock} = ? AND closed = null")).await?,
            clock_later: prepare(format!("{clock} < ? AND closed = null")).await?,
            close: prepare(format!(
                "UPDATE {ks}.log SET closed = true WHERE shard = ? AND position = 0 IF closed = null"
            ))
            .await?,
            reserve: prepare(format!(
                "INSERT INTO {ks}.log (shard, position, space, incarnation, part, records) \
                 VALUES (?, ?, ?, ?, ?, ?)"
            ))
            .await?,
            done: prepare(format!(
                "UPDATE {ks}.log SET done = true WHERE shard = ? AND position = ?"
            ))
            .await?,
            void: prepare(format!(
                "DELETE FROM {ks}.log USING TIMESTAMP ? WHERE shard = ? AND position = ?"
            ))
            .await?,
            trim: prepare(format!(
                "DELETE FROM {ks}.log USING TIMESTAMP ? WHERE shard = ? AND position > 0 AND position <= ?"
            ))
            .await?,
            page: prepare(format!(
                "SELECT position, space, incarnation, part, records, done FROM {ks}.log \
                 WHERE shard = ? AND position >= ? AND position <= ?"
            ))
            .await?,
            state: prepare(format!(
                "SELECT records, done FROM {ks}.log WHERE shard = ? AND position = ?"
            ))
            .await?,
        })
    }
}

/// The prepared statements of the tables `instances` and `marks`.
pub(crate) struct InstanceTables {
    /// last, registry, instance, expected fence: the part of a heartbeat that stays.
    pub(crate) beat: PreparedStatement,
    /// ttl, registry, instance: the part that ends.
    pub(crate) alive: PreparedStatement,
    /// registry: of all instances instance, alive, fenced, last, taker.
    pub(crate) all: PreparedStatement,
    /// registry, instance: fences one that is not alive and that nobody takes over.
    pub(crate) fence: PreparedStatement,
    /// ttl, taker, registry, instance: says who takes it over.
    pub(crate) take: PreparedStatement,
    /// ttl, taker, registry, instance, expected taker
    pub(crate) retake: PreparedStatement,
    /// registry, instance, expected fence
    pub(crate) remove: PreparedStatement,
    /// registry, instance, expected taker
    pub(crate) remove_taken: PreparedStatement,
    /// instance, bucket, space, incarnation, part, since, timestamp
    pub(crate) mark: PreparedStatement,
    /// timestamp, instance, bucket
    pub(crate) unmark: PreparedStatement,
    /// instance, bucket: space, incarnation, part, since
    pub(crate) marks: PreparedStatement,
}

impl InstanceTables {
    async fn prepare(client: &Client, ks: &str) -> Result<Self, Failure> {
        let prepare = |text: String| client.prepare_keyed(text);
        let row = "WHERE registry = ? AND instance = ?";
        let take = format!("UPDATE {ks}.instances USING TTL ? SET taker = ? {row}");
        let bucket = "WHERE instance = ? AND bucket = ?";
        Ok(Self {
            beat: prepare(format!(
                "UPDATE {ks}.instances SET fenced = false, last = ? {row} IF fenced = ?"
            ))
            .await?,
            alive: prepare(format!("UPDATE {ks}.instances USING TTL ? SET alive = true {row}"))
                .await?,
            all: prepare(format!(
                "SELECT instance, alive, fenced, last, taker FROM {ks}.instances WHERE registry = ?"
            ))
            .await?,
            fence: prepare(format!(
                "UPDATE {ks}.instances SET fenced = true {row} \
                 IF fenced != null AND alive = null AND taker = null"
            ))
            .await?,
            retake: prepare(format!("{take} IF taker = ?")).await?,
            take: prepare(take).await?,
            remove: prepare(format!("DELETE FROM {ks}.instances {row} IF fenced = ?")).await?,
            remove_taken: prepare(format!("DELETE FROM {ks}.instances {row} IF taker = ?")).await?,
            mark: prepare(format!(
                "INSERT INTO {ks}.marks (instance, bucket, space, incarnation, part, since) \
                 VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
            ))
            .await?,
            unmark: prepare(format!("DELETE FROM {ks}.marks USING TIMESTAMP ? {bucket}")).await?,
            marks: prepare(format!(
                "SELECT space, incarnation, part, since FROM {ks}.marks {bucket}"
            ))
            .await?,
        })
    }
}

/// The prepared statements of the engine's own tables.
pub(crate) struct OwnTables {
    /// registry: of all spaces space, incarnation, state.
    pub(crate) spaces: PreparedStatement,
    /// registry, space: incarnation, state
    pub(crate) space: PreparedStatement,
    /// registry, space, incarnation, state
    pub(crate) space_insert: PreparedStatement,
    /// state, registry, space, expected incarnation, expected state
    pub(crate) space_state: PreparedStatement,
    /// registry, space, expected incarnation
    pub(crate) space_delete: PreparedStatement,
    /// id, instance, ttl
    pub(crate) node_claim: PreparedStatement,
    /// ttl, instance, id, expected instance
    pub(crate) node_renew: PreparedStatement,
    /// id, expected instance
    pub(crate) node_release: PreparedStatement,
    pub(crate) log: LogTable,
    pub(crate) instances: InstanceTables,
    /// keyspace, table
    pub(crate) size_estimates: PreparedStatement,
}

impl OwnTables {
    pub(crate) async fn prepare(client: &Client, keyspace: &str) -> Result<Self, Failure> {
        let prepare = |text: String| client.prepare_keyed(text);
        let ks = keyspace;
        let space = "WHERE registry = ? AND space = ?";
        Ok(Self {
            spaces: prepare(format!(
                "SELECT space, incarnation, state FROM {ks}.spaces WHERE registry = ?"
            ))
            .await?,
            space: prepare(format!("SELECT incarnation, state FROM {ks}.spaces {space}")).await?,
            space_insert: prepare(format!(
                "INSERT INTO {ks}.spaces (registry, space, incarnation, state) VALUES (?, ?, ?, ?) \
                 IF NOT EXISTS"
            ))
            .await?,
            space_state: prepare(format!(
                "UPDATE {ks}.spaces SET state = ? {space} IF incarnation = ? AND state = ?"
            ))
            .await?,
            space_delete: prepare(format!("DELETE FROM {ks}.spaces {space} IF incarnation = ?"))
                .await?,
            node_claim: prepare(format!(
                "INSERT INTO {ks}.nodes (id, instance) VALUES (?, ?) IF NOT EXISTS USING TTL ?"
            ))
            .await?,
            node_renew: prepare(format!(
                "UPDATE {ks}.nodes USING TTL ? SET instance = ? WHERE id = ? IF instance = ?"
            ))
            .await?,
            node_release: prepare(format!("DELETE FROM {ks}.nodes WHERE id = ? IF instance = ?"))
                .await?,
            log: LogTable::prepare(client, ks).await?,
            instances: InstanceTables::prepare(client, ks).await?,
            size_estimates: prepare(
                "SELECT mean_partition_size, partitions_count FROM system.size_estimates \
                 WHERE keyspace_name = ? AND table_name = ?"
                    .to_owned(),
            )
            .await?,
        })
    }
}

/// The name of a space's table, as text, for the system tables.
pub(crate) fn table_text(table: TableName) -> String {
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_s_id_follows_from_its_name() {
        let one = table_id("zenobe", "log");
        assert_eq!(one, table_id("zenobe", "log"));
        assert_ne!(one, table_id("zenobe", "spaces"));
        assert_ne!(one, table_id("zenobe2", "log"));
        let parts: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(one.as_bytes()[14], b'8');
        assert!(b"89ab".contains(&one.as_bytes()[19]));
    }

    #[test]
    fn the_longest_name_of_a_table_fits_cassandra() {
        let name = TableName { space: Some(SpaceId(u64::MAX)), incarnation: i64::MAX };
        assert_eq!(name.text(), "sffffffffffffffff_7fffffffffffffff");
        assert!(name.text().len() <= 48);
    }
}
