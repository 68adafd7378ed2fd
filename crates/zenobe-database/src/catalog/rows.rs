//! The rows of the catalogue: their keys, what they hold, reading them all.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use minicbor::{Decode, Encode};
use zenobe_storage::{
    Direction, Engine, EngineError, Key, Lane, Mutation, RangeRead, Read, Row, RowPlace, SortBound,
    SpaceId, Version,
};

use super::agreement::MemberId;
use super::change::allocated_by;
use super::{
    CONFLICT_RETRIES_MAX, Figures, Marks, PAGE, PARTITION, SPACE, Stream, Table, stored, table_arn,
};
use crate::OpenError;

/// A row of the catalogue.
pub(super) enum CatalogRow<'a> {
    NextSpace,
    Table(&'a str),
    Drop(SpaceId),
    Backfill(SpaceId),
    Figures(&'a str),
    Stream(&'a Stream),
    Marks,
    Cut,
    Open,
    Generation,
    Deleted(&'a str),
    Member(MemberId),
    Claim(&'a str),
}

impl CatalogRow<'_> {
    pub(super) fn key(&self) -> Key {
        let stream_name;
        let (kind, rest): (u8, &[u8]) = match self {
            Self::NextSpace => (b'c', &[]),
            Self::Table(name) => (b't', name.as_bytes()),
            Self::Drop(space) => (b'd', &space.0.to_be_bytes()),
            Self::Backfill(space) => (b'b', &space.0.to_be_bytes()),
            Self::Figures(table_id) => (b'f', table_id.as_bytes()),
            Self::Stream(stream) => {
                // A table's name has no slash.
                stream_name = format!("{}/{}", stream.table_name, stream.label);
                (b's', stream_name.as_bytes())
            }
            Self::Marks => (b'k', &[]),
            Self::Cut => (b'x', &[]),
            Self::Open => (b'o', &[]),
            Self::Generation => (b'g', &[]),
            Self::Deleted(name) => (b'z', name.as_bytes()),
            Self::Member(id) => (b'm', id),
            Self::Claim(work) => (b'w', work.as_bytes()),
        };
        let mut sort = Vec::with_capacity(1 + rest.len());
        sort.push(kind);
        sort.extend_from_slice(rest);
        let partition = Bytes::from_static(PARTITION);
        Key { space: SPACE, partition, lane: Lane::ITEM, sort: Bytes::from(sort) }
    }

    pub(super) fn put(&self, value: Bytes) -> Mutation {
        Mutation { key: self.key(), value: Some(value) }
    }

    pub(super) fn delete(&self) -> Mutation {
        Mutation { key: self.key(), value: None }
    }
}

/// How far a backfill got: the place of the last item that was looked at.
#[derive(Clone, Debug, Encode, Decode)]
pub(super) struct StoredPlace {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(super) partition: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(super) sort: Vec<u8>,
}

pub(super) fn corrupt(place: &RowPlace, what: impl std::fmt::Display) -> OpenError {
    OpenError::CorruptCatalog(format!("row {}: {what}", place.sort.escape_ascii()))
}

pub(super) fn decode<T: for<'b> Decode<'b, ()>>(
    place: &RowPlace,
    row: &Row,
) -> Result<T, OpenError> {
    stored::decode(&row.value).map_err(|what| corrupt(place, what))
}

pub(super) fn space_of(place: &RowPlace, bytes: &[u8]) -> Result<SpaceId, OpenError> {
    let bytes: [u8; 8] = bytes.try_into().map_err(|_| corrupt(place, "a malformed space id"))?;
    Ok(SpaceId(u64::from_be_bytes(bytes)))
}

/// Reads all rows of the catalogue, or those of one kind.
pub(super) async fn read_all(
    engine: &dyn Engine,
    kind: Option<u8>,
) -> Result<Vec<(RowPlace, Row)>, EngineError> {
    let mut rows = Vec::new();
    let first = |kind: u8| Bytes::copy_from_slice(&[kind]);
    let mut from = kind.map_or(SortBound::Unbounded, |kind| SortBound::Included(first(kind)));
    loop {
        let range = RangeRead {
            space: SPACE,
            partition: Bytes::from_static(PARTITION),
            lane: Lane::ITEM,
            from,
            to: kind.map_or(SortBound::Unbounded, |kind| SortBound::Excluded(first(kind + 1))),
            direction: Direction::Forward,
            limit: PAGE,
        };
        let page = engine.range(range, Read::Strong).await?;
        let last = page.rows.last().map(|(place, _)| place.sort.clone());
        rows.extend(page.rows);
        match last {
            Some(last) if !page.end => from = SortBound::Excluded(last),
            _ => return Ok(rows),
        }
    }
}

/// The catalogue as it is stored.
#[derive(Default)]
pub(super) struct Loaded {
    /// The version of the last change; 0 where processes do not share the catalogue.
    pub(super) generation: u64,
    pub(super) tables: Vec<Table>,
    pub(super) figures: HashMap<String, Figures>,
    pub(super) streams: Vec<Stream>,
    pub(super) marks: Marks,
    pub(super) dropped: BTreeSet<SpaceId>,
    /// Spaces that members have allocated and do not use yet.
    pub(super) allocated: Vec<(SpaceId, MemberId, Version)>,
    /// Whether figures may have got lost.
    pub(super) figures_lost: bool,
}

impl Loaded {
    /// Reads the catalogue as it was at one point in time.
    ///
    /// # Errors
    /// [`OpenError`] when the engine fails or a row does not decode.
    pub(super) async fn read(
        engine: &dyn Engine,
        region: &str,
        account_id: &str,
    ) -> Result<Self, OpenError> {
        for _ in 0..CONFLICT_RETRIES_MAX {
            let before = generation(engine).await?;
            let rows = read_all(engine, None).await?;
            // A change between two pages would show half of it.
            if generation(engine).await? == before {
                return Self::of(rows, before, region, account_id);
            }
        }
        Err(EngineError::Unavailable("the catalogue changes too often".to_owned()).into())
    }

    fn of(
        rows: Vec<(RowPlace, Row)>,
        generation: u64,
        region: &str,
        account_id: &str,
    ) -> Result<Self, OpenError> {
        let mut loaded = Self { generation, ..Self::default() };
        for (place, row) in rows {
            match place.sort.split_first() {
                Some((b't', _)) => {
                    let mut table: Table = decode(&place, &row)?;
                    table.arn = table_arn(region, account_id, &table.name);
                    table.row_version = Some(row.version);
                    loaded.tables.push(table);
                }
                Some((b'd', space)) => {
                    let space = space_of(&place, space)?;
                    match allocated_by(&row)? {
                        Some(by) => loaded.allocated.push((space, by, row.version)),
                        None => {
                            loaded.dropped.insert(space);
                        }
                    }
                }
                Some((b'f', id)) => {
                    let id = String::from_utf8_lossy(id).into_owned();
                    loaded.figures.insert(id, decode(&place, &row)?);
                }
                Some((b'o', _)) => loaded.figures_lost = true,
                Some((b's', _)) => loaded.streams.push(decode(&place, &row)?),
                Some((b'k', _)) => loaded.marks = decode(&place, &row)?,
                Some((b'c' | b'b' | b'x' | b'g' | b'z' | b'm' | b'w', _)) => {}
                _ => return Err(corrupt(&place, "a row of an unknown kind")),
            }
        }
        Ok(loaded)
    }
}

/// The version of the last change of a shared catalogue; 0 before the first.
pub(super) async fn generation(engine: &dyn Engine) -> Result<u64, EngineError> {
    let row = engine.get(CatalogRow::Generation.key(), Read::Strong).await?;
    Ok(row.map_or(0, |row| row.version.0))
}
