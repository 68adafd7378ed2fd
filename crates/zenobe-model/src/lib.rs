//! The data model of DynamoDB.
