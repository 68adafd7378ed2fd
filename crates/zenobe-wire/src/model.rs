//! The request shapes of the service, as data: members, types and constraints.
//!
//! Taken from the service model that the SDKs are generated from (botocore 1.44.5,
//! `dynamodb/2012-08-10`), with what the service checks beyond it: the length of table names, and
//! the order in which it reports several errors at once, which is the order of the members here.

use zenobe_model::operation::Operation;

use crate::shape::{
    MapShape, Member, Need, NullValue, Rule, Shape, StructureShape, optional, required,
    required_first,
};

mod statement;

const MAX: usize = usize::MAX;
const INTEGER_MAX: i64 = 0x7FFF_FFFF;

const TEXT: Shape = Shape::Text(&[]);
const NAME: Shape = Shape::Text(&[Rule::NamePattern, Rule::MinLength(3), Rule::MaxLength(255)]);
const CONTROL_TABLE: Shape =
    Shape::Text(&[Rule::TablePattern, Rule::MinLength(3), Rule::TableMaxLength]);
const DATA_TABLE: Shape = Shape::Text(&[
    Rule::MinLength(1),
    Rule::TablePattern,
    Rule::TableMinLength,
    Rule::TableMaxLength,
]);
const WRITE_TABLE: Shape = Shape::Text(&[
    Rule::NotEmptyFirst,
    Rule::TablePattern,
    Rule::TableMinLength,
    Rule::TableMaxLength,
]);
/// The ARN that tags belong to. Whether it is one, and names a table, is checked by the operation.
const RESOURCE: Member = Member {
    name: "ResourceArn",
    shape: Shape::Text(&[Rule::MaxLength(1283)]),
    need: Need::Saying("Invalid TableArn"),
};
const KEY_ATTRIBUTE: Shape = Shape::Text(&[Rule::MinLength(1), Rule::MaxLength(255)]);
const ATTRIBUTE_NAME: Shape = Shape::Text(&[Rule::MaxLength(65535)]);

const RETURN_CAPACITY: Member =
    optional("ReturnConsumedCapacity", Shape::Text(&[Rule::OneOf(&["INDEXES", "TOTAL", "NONE"])]));
const RETURN_METRICS: Member =
    optional("ReturnItemCollectionMetrics", Shape::Text(&[Rule::OneOf(&["SIZE", "NONE"])]));
const RETURN_VALUES_ENUM: &[&str] = &["ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"];
/// How the service lists the values of `ReturnValues`, slip of the pen included.
macro_rules! return_values_text {
    () => {
        "Failed to satisfy constraint: Member must satisfy enum value set: \
         [ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]"
    };
}
const RETURN_VALUES: Member = optional(
    "ReturnValues",
    Shape::Text(&[Rule::Unnamed(RETURN_VALUES_ENUM, return_values_text!())]),
);
const RETURN_VALUES_FIRST: Member = optional(
    "ReturnValues",
    Shape::Text(&[Rule::UnnamedFirst(
        RETURN_VALUES_ENUM,
        concat!("1 validation error detected: ", return_values_text!()),
    )]),
);
const RETURN_ON_FAILURE: Member = optional(
    "ReturnValuesOnConditionCheckFailure",
    Shape::Text(&[Rule::OneOf(&["ALL_OLD", "NONE"])]),
);
/// How the service lists the values of `ConditionalOperator` since 2026, though it takes `AND`.
const ALL_OR: &str = "Failed to satisfy constraint: Member must satisfy enum value set: [ALL, OR]";
const CONDITIONAL_OPERATOR: Member =
    optional("ConditionalOperator", Shape::Text(&[Rule::Unnamed(&["OR", "AND"], ALL_OR)]));
const QUERY_CONDITIONAL_OPERATOR: Member =
    optional("ConditionalOperator", Shape::Text(&[Rule::UnnamedFirst(&["OR", "AND"], ALL_OR)]));
const SCAN_CONDITIONAL_OPERATOR: Member =
    optional("ConditionalOperator", Shape::Text(&[Rule::OneOf(&["OR", "AND"])]));
const COMPARISON: Shape = Shape::Text(&[Rule::OneOf(&[
    "IN",
    "NULL",
    "BETWEEN",
    "LT",
    "NOT_CONTAINS",
    "EQ",
    "GT",
    "NOT_NULL",
    "NE",
    "LE",
    "BEGINS_WITH",
    "GE",
    "CONTAINS",
])]);
const SELECT: Member = optional(
    "Select",
    Shape::Text(&[Rule::OneOf(&[
        "SPECIFIC_ATTRIBUTES",
        "COUNT",
        "ALL_ATTRIBUTES",
        "ALL_PROJECTED_ATTRIBUTES",
    ])]),
);
const ATTRIBUTES_TO_GET: Member = optional("AttributesToGet", Shape::List(&ATTRIBUTE_NAME, 1, MAX));
const CONSISTENT_READ: Member = optional("ConsistentRead", Shape::Boolean);
const LIMIT: Member = optional("Limit", Shape::PositiveLimit);
const EXPRESSION_NAMES: Member = optional(
    "ExpressionAttributeNames",
    Shape::Map(&MapShape {
        value: ATTRIBUTE_NAME,
        min: 0,
        max: MAX,
        tables_of: None,
        null: Some(NullValue::Saying(
            "ExpressionAttributeNames contains invalid value: null for key ",
            "",
        )),
    }),
);
const VALUES: Shape =
    Shape::Map(&MapShape { value: Shape::Value, min: 0, max: MAX, tables_of: None, null: None });
const EXPRESSION_VALUES: Member = optional("ExpressionAttributeValues", VALUES);
const VALUE_LIST: Member = optional("AttributeValueList", Shape::List(&Shape::Value, 0, MAX));

const CONDITIONS: Shape = Shape::Map(&MapShape {
    value: Shape::Structure(&StructureShape {
        name: "Condition",
        members: &[VALUE_LIST, required("ComparisonOperator", COMPARISON)],
    }),
    min: 0,
    max: MAX,
    tables_of: None,
    null: Some(NullValue::Saying("The filter condition for an attribute cannot be null: ", "")),
});
const EXPECTED: Member = optional(
    "Expected",
    Shape::Map(&MapShape {
        value: Shape::Structure(&StructureShape {
            name: "ExpectedAttributeValue",
            members: &[
                VALUE_LIST,
                optional("ComparisonOperator", COMPARISON),
                optional("Exists", Shape::Boolean),
                optional("Value", Shape::Value),
            ],
        }),
        min: 0,
        max: MAX,
        tables_of: None,
        null: Some(NullValue::Saying(
            "One or more parameter values were invalid: ExpectedAttributeValue must not be null for Attribute: ",
            "",
        )),
    }),
);
const UPDATES: Member = optional(
    "AttributeUpdates",
    Shape::Map(&MapShape {
        value: Shape::Structure(&StructureShape {
            name: "AttributeValueUpdate",
            members: &[
                optional("Action", Shape::Text(&[Rule::OneOf(&["ADD", "DELETE", "PUT"])])),
                optional("Value", Shape::Value),
            ],
        }),
        min: 0,
        max: MAX,
        tables_of: None,
        null: Some(NullValue::Collected),
    }),
);

const GET_ITEM: StructureShape = StructureShape {
    name: "GetItemInput",
    members: &[
        RETURN_CAPACITY,
        ATTRIBUTES_TO_GET,
        required("TableName", DATA_TABLE),
        required("Key", Shape::Item),
        CONSISTENT_READ,
        optional("ProjectionExpression", TEXT),
        EXPRESSION_NAMES,
    ],
};

const PUT_ITEM: StructureShape = StructureShape {
    name: "PutItemInput",
    members: &[
        RETURN_CAPACITY,
        required("TableName", WRITE_TABLE),
        required("Item", Shape::Item),
        CONDITIONAL_OPERATOR,
        EXPECTED,
        RETURN_VALUES,
        RETURN_METRICS,
        optional("ConditionExpression", TEXT),
        EXPRESSION_VALUES,
        EXPRESSION_NAMES,
        RETURN_ON_FAILURE,
    ],
};

const DELETE_ITEM: StructureShape = StructureShape {
    name: "DeleteItemInput",
    members: &[
        RETURN_CAPACITY,
        required("TableName", WRITE_TABLE),
        RETURN_VALUES,
        RETURN_METRICS,
        required("Key", Shape::Item),
        CONDITIONAL_OPERATOR,
        EXPECTED,
        optional("ConditionExpression", TEXT),
        EXPRESSION_VALUES,
        EXPRESSION_NAMES,
        RETURN_ON_FAILURE,
    ],
};

const UPDATE_ITEM: StructureShape = StructureShape {
    name: "UpdateItemInput",
    members: &[
        RETURN_CAPACITY,
        required("TableName", WRITE_TABLE),
        RETURN_METRICS,
        RETURN_VALUES_FIRST,
        CONDITIONAL_OPERATOR,
        required("Key", Shape::Item),
        EXPECTED,
        UPDATES,
        optional("ConditionExpression", TEXT),
        optional("UpdateExpression", TEXT),
        EXPRESSION_VALUES,
        EXPRESSION_NAMES,
        RETURN_ON_FAILURE,
    ],
};

const QUERY: StructureShape = StructureShape {
    name: "QueryInput",
    members: &[
        LIMIT,
        optional("ExclusiveStartKey", Shape::Item),
        optional("KeyConditions", CONDITIONS),
        RETURN_CAPACITY,
        ATTRIBUTES_TO_GET,
        required("TableName", DATA_TABLE),
        SELECT,
        CONSISTENT_READ,
        optional("IndexName", NAME),
        optional("ScanIndexForward", Shape::Boolean),
        QUERY_CONDITIONAL_OPERATOR,
        optional("QueryFilter", CONDITIONS),
        optional("FilterExpression", TEXT),
        optional("KeyConditionExpression", TEXT),
        optional("ProjectionExpression", TEXT),
        EXPRESSION_VALUES,
        EXPRESSION_NAMES,
    ],
};

const SCAN: StructureShape = StructureShape {
    name: "ScanInput",
    members: &[
        optional("Limit", Shape::Integer(1, INTEGER_MAX)),
        optional("TotalSegments", Shape::Integer(1, 1_000_000)),
        optional("ExclusiveStartKey", Shape::Item),
        RETURN_CAPACITY,
        ATTRIBUTES_TO_GET,
        required("TableName", DATA_TABLE),
        SELECT,
        CONSISTENT_READ,
        optional("IndexName", NAME),
        optional("Segment", Shape::Integer(0, 999_999)),
        SCAN_CONDITIONAL_OPERATOR,
        optional("ScanFilter", CONDITIONS),
        optional("FilterExpression", TEXT),
        optional("ProjectionExpression", TEXT),
        EXPRESSION_VALUES,
        EXPRESSION_NAMES,
    ],
};

const BATCH_GET_ITEM: StructureShape = StructureShape {
    name: "BatchGetItemInput",
    members: &[
        required(
            "RequestItems",
            Shape::Map(&MapShape {
                value: Shape::Structure(&StructureShape {
                    name: "KeysAndAttributes",
                    members: &[
                        required("Keys", Shape::Keys),
                        ATTRIBUTES_TO_GET,
                        CONSISTENT_READ,
                        optional("ProjectionExpression", TEXT),
                        EXPRESSION_NAMES,
                    ],
                }),
                min: 1,
                max: 100,
                tables_of: Some(Operation::BatchGetItem),
                null: Some(NullValue::Saying(
                    "The list of keys in RequestItems for BatchGetItem is required: ",
                    " has empty list",
                )),
            }),
        ),
        RETURN_CAPACITY,
    ],
};

const BATCH_WRITE_ITEM: StructureShape = StructureShape {
    name: "BatchWriteItemInput",
    members: &[
        RETURN_CAPACITY,
        RETURN_METRICS,
        required(
            "RequestItems",
            Shape::Map(&MapShape {
                value: Shape::List(
                    &Shape::Structure(&StructureShape {
                        name: "WriteRequest",
                        members: &[
                            optional(
                                "PutRequest",
                                Shape::Structure(&StructureShape {
                                    name: "PutRequest",
                                    members: &[required("Item", Shape::Item)],
                                }),
                            ),
                            optional(
                                "DeleteRequest",
                                Shape::Structure(&StructureShape {
                                    name: "DeleteRequest",
                                    members: &[required("Key", Shape::Item)],
                                }),
                            ),
                        ],
                    }),
                    1,
                    25,
                ),
                min: 1,
                max: 25,
                tables_of: Some(Operation::BatchWriteItem),
                null: Some(NullValue::Saying(
                    "The batch write request list for a table cannot be null or empty: ",
                    "",
                )),
            }),
        ),
    ],
};

const TRANSACT_TABLE: Member = required("TableName", DATA_TABLE);
const CONDITION_CHECK: StructureShape = StructureShape {
    name: "ConditionCheck",
    members: &[
        required("Key", Shape::Item),
        TRANSACT_TABLE,
        required("ConditionExpression", TEXT),
        EXPRESSION_NAMES,
        EXPRESSION_VALUES,
        RETURN_ON_FAILURE,
    ],
};
const TRANSACT_PUT: StructureShape = StructureShape {
    name: "Put",
    members: &[
        required("Item", Shape::Item),
        TRANSACT_TABLE,
        optional("ConditionExpression", TEXT),
        EXPRESSION_NAMES,
        EXPRESSION_VALUES,
        RETURN_ON_FAILURE,
    ],
};
const TRANSACT_DELETE: StructureShape = StructureShape {
    name: "Delete",
    members: &[
        required("Key", Shape::Item),
        TRANSACT_TABLE,
        optional("ConditionExpression", TEXT),
        EXPRESSION_NAMES,
        EXPRESSION_VALUES,
        RETURN_ON_FAILURE,
    ],
};
const TRANSACT_UPDATE: StructureShape = StructureShape {
    name: "Update",
    members: &[
        required("Key", Shape::Item),
        required("UpdateExpression", TEXT),
        TRANSACT_TABLE,
        optional("ConditionExpression", TEXT),
        EXPRESSION_NAMES,
        EXPRESSION_VALUES,
        RETURN_ON_FAILURE,
    ],
};

const TRANSACT_WRITE_ITEMS: StructureShape = StructureShape {
    name: "TransactWriteItemsInput",
    members: &[
        optional("ClientRequestToken", Shape::Text(&[Rule::MinLength(1), Rule::MaxLength(36)])),
        RETURN_CAPACITY,
        RETURN_METRICS,
        required(
            "TransactItems",
            Shape::List(
                &Shape::Structure(&StructureShape {
                    name: "TransactWriteItem",
                    members: &[
                        optional("ConditionCheck", Shape::Structure(&CONDITION_CHECK)),
                        optional("Put", Shape::Structure(&TRANSACT_PUT)),
                        optional("Delete", Shape::Structure(&TRANSACT_DELETE)),
                        optional("Update", Shape::Structure(&TRANSACT_UPDATE)),
                    ],
                }),
                1,
                100,
            ),
        ),
    ],
};

const TRANSACT_GET_ITEMS: StructureShape = StructureShape {
    name: "TransactGetItemsInput",
    members: &[
        RETURN_CAPACITY,
        required(
            "TransactItems",
            Shape::List(
                &Shape::Structure(&StructureShape {
                    name: "TransactGetItem",
                    members: &[required(
                        "Get",
                        Shape::Structure(&StructureShape {
                            name: "Get",
                            members: &[
                                required("Key", Shape::Item),
                                TRANSACT_TABLE,
                                optional("ProjectionExpression", TEXT),
                                EXPRESSION_NAMES,
                            ],
                        }),
                    )],
                }),
                1,
                100,
            ),
        ),
    ],
};

const ATTRIBUTE_DEFINITIONS: Shape = Shape::List(
    &Shape::Structure(&StructureShape {
        name: "AttributeDefinition",
        members: &[
            required("AttributeType", Shape::Text(&[Rule::OneOf(&["B", "N", "S"])])),
            required("AttributeName", KEY_ATTRIBUTE),
        ],
    }),
    0,
    MAX,
);
const KEY_ELEMENT: Shape = Shape::Structure(&StructureShape {
    name: "KeySchemaElement",
    members: &[
        required("AttributeName", KEY_ATTRIBUTE),
        required("KeyType", Shape::Text(&[Rule::OneOf(&["HASH", "RANGE"])])),
    ],
});
/// The keys of a table and of a local index: at most two.
const KEY_SCHEMA: Shape = Shape::List(&KEY_ELEMENT, 1, 2);
/// The keys of a global index, which may have four attributes of each kind.
const INDEX_KEY_SCHEMA: Shape = Shape::List(&KEY_ELEMENT, 1, 8);
const PROJECTION: Shape = Shape::Structure(&StructureShape {
    name: "Projection",
    members: &[
        optional("ProjectionType", Shape::Text(&[Rule::OneOf(&["ALL", "INCLUDE", "KEYS_ONLY"])])),
        optional("NonKeyAttributes", Shape::List(&KEY_ATTRIBUTE, 1, 20)),
    ],
});
const THROUGHPUT: Shape = Shape::Structure(&StructureShape {
    name: "ProvisionedThroughput",
    members: &[
        required("WriteCapacityUnits", Shape::Long(1)),
        required("ReadCapacityUnits", Shape::Long(1)),
    ],
});
const ON_DEMAND: Member = optional(
    "OnDemandThroughput",
    Shape::Structure(&StructureShape {
        name: "OnDemandThroughput",
        members: &[
            optional("MaxReadRequestUnits", Shape::Long(i64::MIN)),
            optional("MaxWriteRequestUnits", Shape::Long(i64::MIN)),
        ],
    }),
);
const WARM: Member = optional(
    "WarmThroughput",
    Shape::Structure(&StructureShape {
        name: "WarmThroughput",
        members: &[
            optional("ReadUnitsPerSecond", Shape::Long(i64::MIN)),
            optional("WriteUnitsPerSecond", Shape::Long(i64::MIN)),
        ],
    }),
);
const BILLING: Member =
    optional("BillingMode", Shape::Text(&[Rule::OneOf(&["PROVISIONED", "PAY_PER_REQUEST"])]));
const PROVISIONED: Member = optional("ProvisionedThroughput", THROUGHPUT);
const TABLE_CLASS: Member = optional(
    "TableClass",
    Shape::Text(&[Rule::UnnamedFirst(
        &["STANDARD", "STANDARD_INFREQUENT_ACCESS"],
        "Invalid table-class parameter provided. Please try again with a valid table-class value: \
         [STANDARD, STANDARD_INFREQUENT_ACCESS].",
    )]),
);
const PROTECTION: Member = optional("DeletionProtectionEnabled", Shape::Boolean);
const STREAM: Member = optional(
    "StreamSpecification",
    Shape::Structure(&StructureShape {
        name: "StreamSpecification",
        members: &[
            required("StreamEnabled", Shape::Boolean),
            optional(
                "StreamViewType",
                Shape::Text(&[Rule::OneOf(&[
                    "OLD_IMAGE",
                    "KEYS_ONLY",
                    "NEW_AND_OLD_IMAGES",
                    "NEW_IMAGE",
                ])]),
            ),
        ],
    }),
);
const ENCRYPTION: Member = optional(
    "SSESpecification",
    Shape::Structure(&StructureShape {
        name: "SSESpecification",
        members: &[
            optional("Enabled", Shape::Boolean),
            optional("SSEType", Shape::Text(&[Rule::OneOf(&["AES256", "KMS"])])),
            optional("KMSMasterKeyId", Shape::Text(&[Rule::MinLength(1)])),
        ],
    }),
);
const TAG_LIST: Shape = Shape::List(
    &Shape::Structure(&StructureShape {
        name: "Tag",
        members: &[
            // Their rules are the table's, which words them itself.
            optional("Key", TEXT),
            optional("Value", TEXT),
        ],
    }),
    0,
    MAX,
);
const SETTINGS_REPLICATION: Member = optional(
    "GlobalTableSettingsReplicationMode",
    Shape::Text(&[Rule::OneOf(&["ENABLED", "DISABLED", "ENABLED_WITH_OVERRIDES"])]),
);

const LOCAL_INDEXES: Shape = Shape::List(
    &Shape::Structure(&StructureShape {
        name: "LocalSecondaryIndex",
        members: &[
            required("IndexName", NAME),
            required("KeySchema", KEY_SCHEMA),
            required("Projection", PROJECTION),
        ],
    }),
    0,
    MAX,
);
const GLOBAL_INDEX_MEMBERS: &[Member] = &[
    required("IndexName", NAME),
    required("KeySchema", INDEX_KEY_SCHEMA),
    required("Projection", PROJECTION),
    PROVISIONED,
    ON_DEMAND,
    WARM,
];

const CREATE_TABLE: StructureShape = StructureShape {
    name: "CreateTableInput",
    members: &[
        required("AttributeDefinitions", ATTRIBUTE_DEFINITIONS),
        required_first("TableName", CONTROL_TABLE),
        BILLING,
        PROVISIONED,
        required("KeySchema", KEY_SCHEMA),
        optional(
            "GlobalSecondaryIndexes",
            Shape::List(
                &Shape::Structure(&StructureShape {
                    name: "GlobalSecondaryIndex",
                    members: GLOBAL_INDEX_MEMBERS,
                }),
                0,
                MAX,
            ),
        ),
        optional("LocalSecondaryIndexes", LOCAL_INDEXES),
        STREAM,
        ENCRYPTION,
        optional("Tags", TAG_LIST),
        TABLE_CLASS,
        PROTECTION,
        ON_DEMAND,
        WARM,
        optional("ResourcePolicy", TEXT),
        optional("GlobalTableSourceArn", TEXT),
        SETTINGS_REPLICATION,
        optional("VectorIndexes", Shape::Presence),
    ],
};

const INDEX_UPDATES: Shape = Shape::List(
    &Shape::Structure(&StructureShape {
        name: "GlobalSecondaryIndexUpdate",
        members: &[
            optional(
                "Update",
                Shape::Structure(&StructureShape {
                    name: "UpdateGlobalSecondaryIndexAction",
                    members: &[required("IndexName", NAME), PROVISIONED, ON_DEMAND, WARM],
                }),
            ),
            optional(
                "Create",
                Shape::Structure(&StructureShape {
                    name: "CreateGlobalSecondaryIndexAction",
                    members: GLOBAL_INDEX_MEMBERS,
                }),
            ),
            optional(
                "Delete",
                Shape::Structure(&StructureShape {
                    name: "DeleteGlobalSecondaryIndexAction",
                    members: &[required("IndexName", NAME)],
                }),
            ),
        ],
    }),
    0,
    MAX,
);

const UPDATE_TABLE: StructureShape = StructureShape {
    name: "UpdateTableInput",
    members: &[
        required_first("TableName", CONTROL_TABLE),
        optional("AttributeDefinitions", ATTRIBUTE_DEFINITIONS),
        BILLING,
        PROVISIONED,
        optional("GlobalSecondaryIndexUpdates", INDEX_UPDATES),
        STREAM,
        ENCRYPTION,
        TABLE_CLASS,
        PROTECTION,
        ON_DEMAND,
        WARM,
        optional("ReplicaUpdates", Shape::Presence),
        optional("MultiRegionConsistency", Shape::Text(&[Rule::OneOf(&["EVENTUAL", "STRONG"])])),
        optional("GlobalTableWitnessUpdates", Shape::Presence),
        SETTINGS_REPLICATION,
        optional("DisassociationProtectionEnabled", Shape::Boolean),
        optional("VectorIndexUpdates", Shape::Presence),
    ],
};

const DESCRIBE_TABLE: StructureShape = StructureShape {
    name: "DescribeTableInput",
    members: &[required_first("TableName", CONTROL_TABLE)],
};

const DESCRIBE_TIME_TO_LIVE: StructureShape = StructureShape {
    name: "DescribeTimeToLiveInput",
    members: &[required_first("TableName", CONTROL_TABLE)],
};

const UPDATE_TIME_TO_LIVE: StructureShape = StructureShape {
    name: "UpdateTimeToLiveInput",
    members: &[
        required_first("TableName", CONTROL_TABLE),
        required(
            "TimeToLiveSpecification",
            Shape::Structure(&StructureShape {
                name: "TimeToLiveSpecification",
                members: &[
                    required("AttributeName", KEY_ATTRIBUTE),
                    required("Enabled", Shape::Boolean),
                ],
            }),
        ),
    ],
};

const DELETE_TABLE: StructureShape = StructureShape {
    name: "DeleteTableInput",
    members: &[required_first("TableName", CONTROL_TABLE)],
};

const LIST_TABLES: StructureShape = StructureShape {
    name: "ListTablesInput",
    members: &[
        optional("ExclusiveStartTableName", NAME),
        optional("Limit", Shape::Integer(1, 100)),
    ],
};

const TAG_RESOURCE: StructureShape =
    StructureShape { name: "TagResourceInput", members: &[RESOURCE, optional("Tags", TAG_LIST)] };

const UNTAG_RESOURCE: StructureShape = StructureShape {
    name: "UntagResourceInput",
    members: &[RESOURCE, optional("TagKeys", Shape::List(&TEXT, 0, MAX))],
};

const LIST_TAGS: StructureShape = StructureShape {
    name: "ListTagsOfResourceInput",
    members: &[RESOURCE, optional("NextToken", TEXT)],
};

const DESCRIBE_ENDPOINTS: StructureShape =
    StructureShape { name: "DescribeEndpointsRequest", members: &[] };

const DESCRIBE_LIMITS: StructureShape =
    StructureShape { name: "DescribeLimitsInput", members: &[] };

const STREAM_ARN: Shape = Shape::Text(&[Rule::MinLength(37), Rule::MaxLength(1024)]);
const SHARD_ID: Shape = Shape::Text(&[Rule::MinLength(28), Rule::MaxLength(65)]);
const STREAM_LIMIT: Member = optional("Limit", Shape::Integer(1, INTEGER_MAX));

const LIST_STREAMS: StructureShape = StructureShape {
    name: "ListStreamsInput",
    members: &[
        optional("TableName", NAME),
        STREAM_LIMIT,
        optional("ExclusiveStartStreamArn", STREAM_ARN),
    ],
};

const DESCRIBE_STREAM: StructureShape = StructureShape {
    name: "DescribeStreamInput",
    members: &[
        required("StreamArn", STREAM_ARN),
        STREAM_LIMIT,
        optional("ExclusiveStartShardId", SHARD_ID),
        optional(
            "ShardFilter",
            Shape::Structure(&StructureShape {
                name: "ShardFilter",
                members: &[
                    optional("Type", Shape::Text(&[Rule::OneOf(&["CHILD_SHARDS"])])),
                    optional("ShardId", SHARD_ID),
                ],
            }),
        ),
    ],
};

const GET_SHARD_ITERATOR: StructureShape = StructureShape {
    name: "GetShardIteratorInput",
    members: &[
        required("StreamArn", STREAM_ARN),
        required("ShardId", SHARD_ID),
        required(
            "ShardIteratorType",
            Shape::Text(&[Rule::OneOf(&[
                "TRIM_HORIZON",
                "LATEST",
                "AT_SEQUENCE_NUMBER",
                "AFTER_SEQUENCE_NUMBER",
                "AT_TIMESTAMP",
            ])]),
        ),
        optional("SequenceNumber", Shape::Text(&[Rule::MinLength(21), Rule::MaxLength(40)])),
        optional("Timestamp", Shape::Timestamp),
    ],
};

const GET_RECORDS: StructureShape = StructureShape {
    name: "GetRecordsInput",
    members: &[
        required("ShardIterator", Shape::Text(&[Rule::MinLength(1), Rule::MaxLength(2048)])),
        STREAM_LIMIT,
    ],
};

/// The shape of an operation's request.
pub(crate) const fn request_shape(operation: Operation) -> &'static StructureShape {
    match operation {
        Operation::BatchExecuteStatement => &statement::BATCH_EXECUTE_STATEMENT,
        Operation::BatchGetItem => &BATCH_GET_ITEM,
        Operation::BatchWriteItem => &BATCH_WRITE_ITEM,
        Operation::CreateTable => &CREATE_TABLE,
        Operation::DeleteItem => &DELETE_ITEM,
        Operation::DeleteTable => &DELETE_TABLE,
        Operation::DescribeEndpoints => &DESCRIBE_ENDPOINTS,
        Operation::DescribeLimits => &DESCRIBE_LIMITS,
        Operation::DescribeStream => &DESCRIBE_STREAM,
        Operation::DescribeTable => &DESCRIBE_TABLE,
        Operation::DescribeTimeToLive => &DESCRIBE_TIME_TO_LIVE,
        Operation::ExecuteStatement => &statement::EXECUTE_STATEMENT,
        Operation::ExecuteTransaction => &statement::EXECUTE_TRANSACTION,
        Operation::GetItem => &GET_ITEM,
        Operation::GetRecords => &GET_RECORDS,
        Operation::GetShardIterator => &GET_SHARD_ITERATOR,
        Operation::ListStreams => &LIST_STREAMS,
        Operation::ListTables => &LIST_TABLES,
        Operation::ListTagsOfResource => &LIST_TAGS,
        Operation::PutItem => &PUT_ITEM,
        Operation::Query => &QUERY,
        Operation::Scan => &SCAN,
        Operation::TagResource => &TAG_RESOURCE,
        Operation::TransactGetItems => &TRANSACT_GET_ITEMS,
        Operation::TransactWriteItems => &TRANSACT_WRITE_ITEMS,
        Operation::UntagResource => &UNTAG_RESOURCE,
        Operation::UpdateItem => &UPDATE_ITEM,
        Operation::UpdateTable => &UPDATE_TABLE,
        Operation::UpdateTimeToLive => &UPDATE_TIME_TO_LIVE,
    }
}
