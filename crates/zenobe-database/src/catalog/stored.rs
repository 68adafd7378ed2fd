//! How catalogue rows are stored.
//!
//! A row is a format byte, the CRC32 of the rest (little-endian), and a CBOR array whose positions
//! are the field numbers of the type. A row that does not check or decode is corruption: the
//! catalogue does not open. Fields that a reader does not know are skipped and fields that a writer
//! did not know are absent, so rows of older versions stay readable.

use bytes::Bytes;
use minicbor::{Decode, Encode};
use zenobe_model::operation::{
    BillingMode, OnDemandThroughput, ProvisionedThroughputDescription, ResourceStatus,
    StreamViewType, TableClass, Tag, WarmThroughput,
};
use zenobe_model::value::ValueType;
use zenobe_storage::SpaceId;

/// The only format so far.
const FORMAT: u8 = 1;
/// The format byte and the checksum.
const HEADER_BYTES: usize = 5;

/// Encodes a row.
pub(super) fn encode<T: Encode<()>>(value: &T) -> Bytes {
    let mut row = vec![FORMAT, 0, 0, 0, 0];
    // Writing into a vector cannot fail, and no type here refuses to be encoded.
    let mut encoder = minicbor::Encoder::new(&mut row);
    let written = encoder.encode(value).is_ok();
    debug_assert!(written, "catalogue rows always encode");
    let (header, body) = row.split_at_mut(HEADER_BYTES);
    if let Some(checksum) = header.get_mut(1..) {
        checksum.copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    }
    Bytes::from(row)
}

/// Decodes a row.
///
/// # Errors
/// What is wrong with the bytes, for a person.
pub(super) fn decode<T: for<'b> Decode<'b, ()>>(row: &[u8]) -> Result<T, String> {
    let (&format, rest) = row.split_first().ok_or("an empty row")?;
    if format != FORMAT {
        return Err(format!("format {format} is not known; a newer version may have written it"));
    }
    let (checksum, body) = rest.split_first_chunk::<4>().ok_or("a row without a checksum")?;
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return Err("the checksum does not match".to_owned());
    }
    minicbor::decode(body).map_err(|error| error.to_string())
}

/// Says how a type of the model is stored: as which type of this module, and both ways.
macro_rules! stored_as {
    ($module:ident, $model:ty, $stored:ty, $to:expr, $from:expr) => {
        pub(super) mod $module {
            use minicbor::decode::{Decode, Decoder};
            use minicbor::encode::{Encode, Encoder, Write};

            use super::*;

            type Model = $model;
            type Stored = $stored;

            pub(in crate::catalog) fn encode<Ctx, W: Write>(
                value: &Model,
                encoder: &mut Encoder<W>,
                ctx: &mut Ctx,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                let to: fn(&Model) -> Stored = $to;
                Encode::<Ctx>::encode(&to(value), encoder, ctx)
            }

            pub(in crate::catalog) fn decode<Ctx>(
                decoder: &mut Decoder<'_>,
                ctx: &mut Ctx,
            ) -> Result<Model, minicbor::decode::Error> {
                let from: fn(Stored) -> Option<Model> = $from;
                let stored = <Stored as Decode<Ctx>>::decode(decoder, ctx)?;
                from(stored).ok_or_else(|| minicbor::decode::Error::message("unknown value"))
            }
        }
    };
}

/// The same for a value that may be absent, in a module of its own.
macro_rules! stored_option {
    ($module:ident, $inner:ident, $model:ty) => {
        pub(super) mod $module {
            use minicbor::decode::Decoder;
            use minicbor::encode::{Encoder, Write};

            use super::*;

            type Model = Option<$model>;

            pub(in crate::catalog) fn encode<Ctx, W: Write>(
                value: &Model,
                encoder: &mut Encoder<W>,
                ctx: &mut Ctx,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                match value {
                    Some(value) => $inner::encode(value, encoder, ctx),
                    None => encoder.null()?.ok(),
                }
            }

            pub(in crate::catalog) fn decode<Ctx>(
                decoder: &mut Decoder<'_>,
                ctx: &mut Ctx,
            ) -> Result<Model, minicbor::decode::Error> {
                if decoder.datatype()? == minicbor::data::Type::Null {
                    decoder.null()?;
                    return Ok(None);
                }
                $inner::decode(decoder, ctx).map(Some)
            }

            pub(in crate::catalog) fn is_nil(value: &Model) -> bool {
                value.is_none()
            }

            // A field that an older writer did not know: absent.
            pub(in crate::catalog) fn nil() -> Option<Model> {
                Some(None)
            }
        }
    };
}

#[derive(Encode, Decode)]
struct Provisioned {
    #[n(0)]
    last_increase_ms: Option<u64>,
    #[n(1)]
    last_decrease_ms: Option<u64>,
    #[n(2)]
    decreases_today: u64,
    #[n(3)]
    read_capacity_units: u64,
    #[n(4)]
    write_capacity_units: u64,
}

#[derive(Encode, Decode)]
struct Pair {
    #[n(0)]
    read: Option<i64>,
    #[n(1)]
    write: Option<i64>,
}

#[derive(Encode, Decode)]
struct StoredTag {
    #[n(0)]
    key: String,
    #[n(1)]
    value: String,
}

stored_as!(space_id, SpaceId, u64, |space| space.0, |space| Some(SpaceId(space)));
stored_as!(value_type, ValueType, String, |ty| ty.name().to_owned(), |name| ValueType::from_name(
    &name
));
stored_as!(
    status,
    ResourceStatus,
    u8,
    |status| match status {
        ResourceStatus::Creating => 0,
        ResourceStatus::Updating => 1,
        ResourceStatus::Deleting => 2,
        ResourceStatus::Active => 3,
    },
    |code| Some(match code {
        0 => ResourceStatus::Creating,
        1 => ResourceStatus::Updating,
        2 => ResourceStatus::Deleting,
        3 => ResourceStatus::Active,
        _ => return None,
    })
);
stored_as!(
    billing_mode,
    BillingMode,
    u8,
    |mode| match mode {
        BillingMode::Provisioned => 0,
        BillingMode::PayPerRequest => 1,
    },
    |code| Some(match code {
        0 => BillingMode::Provisioned,
        1 => BillingMode::PayPerRequest,
        _ => return None,
    })
);
stored_as!(
    class,
    TableClass,
    u8,
    |class| match class {
        TableClass::Standard => 0,
        TableClass::StandardInfrequentAccess => 1,
    },
    |code| Some(match code {
        0 => TableClass::Standard,
        1 => TableClass::StandardInfrequentAccess,
        _ => return None,
    })
);
stored_as!(
    view_type,
    StreamViewType,
    u8,
    |view| match view {
        StreamViewType::NewImage => 0,
        StreamViewType::OldImage => 1,
        StreamViewType::NewAndOldImages => 2,
        StreamViewType::KeysOnly => 3,
    },
    |code| Some(match code {
        0 => StreamViewType::NewImage,
        1 => StreamViewType::OldImage,
        2 => StreamViewType::NewAndOldImages,
        3 => StreamViewType::KeysOnly,
        _ => return None,
    })
);
stored_as!(
    provisioned,
    ProvisionedThroughputDescription,
    Provisioned,
    |throughput| Provisioned {
        last_increase_ms: throughput.last_increase_ms,
        last_decrease_ms: throughput.last_decrease_ms,
        decreases_today: throughput.number_of_decreases_today,
        read_capacity_units: throughput.read_capacity_units,
        write_capacity_units: throughput.write_capacity_units,
    },
    |stored| Some(ProvisionedThroughputDescription {
        last_increase_ms: stored.last_increase_ms,
        last_decrease_ms: stored.last_decrease_ms,
        number_of_decreases_today: stored.decreases_today,
        read_capacity_units: stored.read_capacity_units,
        write_capacity_units: stored.write_capacity_units,
    })
);
stored_as!(
    on_demand_given,
    OnDemandThroughput,
    Pair,
    |throughput| Pair {
        read: throughput.max_read_request_units,
        write: throughput.max_write_request_units,
    },
    |stored| Some(OnDemandThroughput {
        max_read_request_units: stored.read,
        max_write_request_units: stored.write,
    })
);
stored_as!(
    warm_given,
    WarmThroughput,
    Pair,
    |throughput| Pair {
        read: throughput.read_units_per_second,
        write: throughput.write_units_per_second,
    },
    |stored| Some(WarmThroughput {
        read_units_per_second: stored.read,
        write_units_per_second: stored.write,
    })
);
stored_as!(
    tags,
    Vec<Tag>,
    Vec<StoredTag>,
    |tags| tags
        .iter()
        .map(|tag| StoredTag { key: tag.key.clone(), value: tag.value.clone() })
        .collect(),
    |stored| Some(stored.into_iter().map(|tag| Tag { key: tag.key, value: tag.value }).collect())
);
/// A list that is absent while it is empty, since older writers did not know it.
pub(super) mod expiry_indexes {
    use minicbor::decode::{Decode, Decoder};
    use minicbor::encode::{Encode, Encoder, Write};

    use super::super::expiry::ExpiryIndex;

    type Model = Vec<ExpiryIndex>;

    pub(in crate::catalog) fn encode<Ctx, W: Write>(
        value: &Model,
        encoder: &mut Encoder<W>,
        ctx: &mut Ctx,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        Encode::<Ctx>::encode(value, encoder, ctx)
    }

    pub(in crate::catalog) fn decode<Ctx>(
        decoder: &mut Decoder<'_>,
        ctx: &mut Ctx,
    ) -> Result<Model, minicbor::decode::Error> {
        Ok(<Option<Model> as Decode<Ctx>>::decode(decoder, ctx)?.unwrap_or_default())
    }

    pub(in crate::catalog) fn is_nil(value: &Model) -> bool {
        value.is_empty()
    }

    pub(in crate::catalog) fn nil() -> Option<Model> {
        Some(Model::new())
    }
}

stored_option!(on_demand, on_demand_given, OnDemandThroughput);
stored_option!(warm, warm_given, WarmThroughput);
stored_option!(table_class, class, TableClass);
stored_option!(stream, view_type, StreamViewType);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use zenobe_storage::SpaceId;

    use super::super::expiry::ExpiryIndex;
    use super::super::table::{
        Encryption, GlobalIndex, IndexProjection, IndexState, KeyAttribute, KeySchema, LocalIndex,
        Table,
    };
    use super::*;

    fn attribute(name: &str, ty: ValueType) -> KeyAttribute {
        KeyAttribute { name: name.to_owned(), ty }
    }

    fn throughput() -> ProvisionedThroughputDescription {
        ProvisionedThroughputDescription {
            last_increase_ms: Some(1),
            last_decrease_ms: None,
            number_of_decreases_today: 2,
            read_capacity_units: 3,
            write_capacity_units: 4,
        }
    }

    /// A table that uses every field.
    fn table() -> Table {
        let warm =
            WarmThroughput { read_units_per_second: Some(13_000), write_units_per_second: None };
        let on_demand = OnDemandThroughput {
            max_read_request_units: Some(-1),
            max_write_request_units: Some(7),
        };
        Table {
            id: "00000000-0000-4000-8000-000000000000".to_owned(),
            name: "Music".to_owned(),
            arn: String::new(),
            space: SpaceId(16),
            key: KeySchema {
                partition: attribute("pk", ValueType::S),
                sort: Some(attribute("sk", ValueType::N)),
            },
            local_indexes: vec![LocalIndex {
                name: "Local".to_owned(),
                ordinal: 0,
                key: KeySchema {
                    partition: attribute("pk", ValueType::S),
                    sort: Some(attribute("b", ValueType::B)),
                },
                projection: IndexProjection::KeysOnly,
                counters: Arc::default(),
            }],
            global_indexes: vec![GlobalIndex {
                name: "Global".to_owned(),
                space: SpaceId(17),
                partition: vec![attribute("b", ValueType::B)],
                sort: vec![],
                projection: IndexProjection::Include(vec!["x".to_owned(), "y".to_owned()]),
                state: IndexState::Creating { backfilling: true },
                provisioned_throughput: throughput(),
                on_demand_throughput: Some(on_demand),
                warm_throughput: Some(warm),
                counters: Arc::default(),
            }],
            attribute_definitions: vec![attribute("b", ValueType::B)],
            status: ResourceStatus::Active,
            billing_mode: BillingMode::PayPerRequest,
            last_on_demand_ms: Some(5),
            provisioned_throughput: throughput(),
            on_demand_throughput: Some(on_demand),
            warm_throughput: Some(warm),
            table_class: Some(TableClass::StandardInfrequentAccess),
            table_class_changed_ms: Some(6),
            stream: Some(StreamViewType::NewAndOldImages),
            stream_label: Some("label".to_owned()),
            encryption: Some(Encryption { kms_key_arn: Some("arn".to_owned()) }),
            deletion_protection: true,
            creation_ms: 7,
            tags: vec![Tag { key: "k".to_owned(), value: "v".to_owned() }],
            expiry_indexes: vec![],
            row_version: None,
            created: None,
            epoch: 0,
            restored: Arc::default(),
            counters: Arc::default(),
            writer: Arc::default(),
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A row of an earlier version must stay readable: these bytes are never changed.
    #[test]
    fn the_format_is_pinned() {
        let golden = include_str!("golden/table_1.hex").replace(char::is_whitespace, "");
        assert_eq!(hex(&encode(&table())), golden);
        let bytes: Vec<u8> = (0..golden.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&golden[at..at + 2], 16).unwrap())
            .collect();
        let read: Table = decode(&bytes).unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", table()));
    }

    #[test]
    fn a_table_with_time_to_live_is_read_as_it_was_written() {
        let index = ExpiryIndex::new("expires".to_owned(), SpaceId(18));
        assert_eq!(hex(&encode(&index)[HEADER_BYTES..]), "83676578706972657312820081f4");
        let table = Table { expiry_indexes: vec![index], ..table() };
        let row = encode(&table);
        let read: Table = decode(&row).unwrap();
        assert_eq!(format!("{read:?}"), format!("{table:?}"));
    }

    #[test]
    fn fields_that_are_not_known_are_skipped_and_missing_ones_are_absent() {
        #[derive(Encode, Decode, PartialEq, Debug)]
        struct Old {
            #[n(0)]
            a: u64,
        }
        #[derive(Encode, Decode, PartialEq, Debug)]
        struct New {
            #[n(0)]
            a: u64,
            #[cbor(n(1), with = "on_demand", has_nil)]
            b: Option<OnDemandThroughput>,
            #[n(2)]
            c: Option<String>,
        }
        let new = New { a: 1, b: Some(OnDemandThroughput::default()), c: Some("c".to_owned()) };
        assert_eq!(decode(&encode(&new)), Ok(Old { a: 1 }));
        assert_eq!(decode(&encode(&Old { a: 1 })), Ok(New { a: 1, b: None, c: None }));
    }

    #[test]
    fn a_row_of_a_newer_format_says_so() {
        assert_eq!(
            decode::<u64>(&[2, 0, 0, 0, 0]),
            Err("format 2 is not known; a newer version may have written it".to_owned())
        );
        assert_eq!(decode::<u64>(&[]), Err("an empty row".to_owned()));
        assert_eq!(decode::<u64>(&[1, 0]), Err("a row without a checksum".to_owned()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_decoding_panic(body: Vec<u8>) {
            let mut row = vec![FORMAT];
            row.extend(crc32fast::hash(&body).to_le_bytes());
            row.extend(&body);
            let _ = decode::<Table>(&row);
            let _ = decode::<Table>(&body);
        }
    }
}
