//! What one process wrote another one finds after it.

use serde_json::json;

use crate::client::{Client, create, index, sorted};
use crate::keyspace::Keyspace;

#[test]
fn everything_is_there_after_a_restart() {
    let Some(keyspace) = Keyspace::new(&[]) else { return };
    let mut server = keyspace.start();
    let mut client = Client::of(&server);
    let indexes = json!({"LocalSecondaryIndexes": [index("by-name", &["id:N", "name:S"])],
        "GlobalSecondaryIndexes": [index("by-year", &["year:N"])]});
    let table = create("students", &["id:N", "year:N"], &["name:S"], &indexes);
    client.call("CreateTable", &table);
    let student = |id: u32, year: u32, name: &str| json!({"id": {"N": id.to_string()}, "year": {"N": year.to_string()}, "name": {"S": name}});
    let put = |id, year, name| json!({"TableName": "students", "Item": student(id, year, name)});
    for (id, year, name) in [(1, 1, "Ada"), (1, 2, "Grace"), (2, 1, "Mary")] {
        client.call("PutItem", &put(id, year, name));
    }
    // Two partitions at once.
    let actions = json!([{"Put": put(3, 1, "Joan")}, {"Put": put(4, 1, "Jean")}]);
    client.call("TransactWriteItems", &json!({"TransactItems": actions}));
    assert!(server.stop().success(), "{}", server.log());

    server = keyspace.start();
    client = Client::of(&server);
    let by_name = json!({"TableName": "students", "IndexName": "by-name", "ConsistentRead": true,
        "KeyConditionExpression": "id = :id", "ExpressionAttributeValues": {":id": {"N": "1"}},
        "ScanIndexForward": false});
    let found = client.pages("Query", &by_name);
    assert_eq!(found, [student(1, 2, "Grace"), student(1, 1, "Ada")]);
    assert_eq!(client.table("students").len(), 5);
    let by_year = json!({"TableName": "students", "IndexName": "by-year",
        "KeyConditionExpression": "#y = :y", "ExpressionAttributeNames": {"#y": "year"},
        "ExpressionAttributeValues": {":y": {"N": "1"}}});
    let first_years = [(1, "Ada"), (2, "Mary"), (3, "Joan"), (4, "Jean")];
    let first_years = first_years.map(|(id, name)| student(id, 1, name)).to_vec();
    assert_eq!(sorted(client.pages("Query", &by_year)), sorted(first_years));
    client.call("DeleteTable", &json!({"TableName": "students"}));
    assert_eq!(client.call("ListTables", &json!({})), json!({"TableNames": []}));
    assert!(server.stop().success(), "{}", server.log());
}
