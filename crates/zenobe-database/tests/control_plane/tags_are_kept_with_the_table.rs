//! TagResource, UntagResource and ListTagsOfResource; and the answers about the account.

use zenobe_database::Database;
use zenobe_model::operation::*;
use zenobe_model::{ErrorCode, ServiceError};

use super::support::*;

const ARN: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/Music";

async fn tag(db: &Database, arn: &str, tags: &[(&str, &str)]) -> Result<(), ServiceError> {
    let tag = |(key, value): &(&str, &str)| GivenTag {
        key: Some((*key).to_owned()),
        value: Some((*value).to_owned()),
    };
    let request =
        TagResourceRequest { resource_arn: arn.to_owned(), tags: tags.iter().map(tag).collect() };
    db.execute(Request::TagResource(Box::new(request))).await.map(drop)
}

async fn untag(db: &Database, arn: &str, keys: &[&str]) -> Result<(), ServiceError> {
    let request = UntagResourceRequest {
        resource_arn: arn.to_owned(),
        tag_keys: keys.iter().map(|key| (*key).to_owned()).collect(),
    };
    db.execute(Request::UntagResource(Box::new(request))).await.map(drop)
}

async fn tags(db: &Database, arn: &str) -> Result<String, ServiceError> {
    let request = ListTagsOfResourceRequest { resource_arn: arn.to_owned(), next_token: None };
    match db.execute(Request::ListTagsOfResource(Box::new(request))).await? {
        Response::ListTagsOfResource(response) => {
            assert_eq!(response.next_token, None);
            let tags = response.tags.into_iter().map(|tag| format!("{}={}", tag.key, tag.value));
            Ok(tags.collect::<Vec<_>>().join(" "))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn tags_are_added_replaced_and_removed() {
    let engine = engine().await;
    let db = open(&engine).await;
    create_table(&db, create("Music", "pk:S", "H:pk")).await.unwrap();
    assert_eq!(tags(&db, ARN).await.unwrap(), "");
    tag(&db, ARN, &[("env", "test"), ("a", "")]).await.unwrap();
    tag(&db, ARN, &[("env", "production")]).await.unwrap();
    assert_eq!(tags(&db, ARN).await.unwrap(), "a= env=production");
    untag(&db, ARN, &["a", "unknown"]).await.unwrap();
    end(db).await;
    let db = open(&engine).await;
    assert_eq!(tags(&db, ARN).await.unwrap(), "env=production");
}

#[tokio::test]
async fn what_is_refused() {
    let db = open(&engine().await).await;
    create_table(&db, create("Music", "pk:S", "H:pk")).await.unwrap();
    let cases = [
        (
            "Music",
            ErrorCode::Validation,
            "One or more parameter values were invalid: ARNs must start with 'arn:': Music",
        ),
        (
            "arn:aws:s3:::bucket/Music",
            ErrorCode::Validation,
            "One or more parameter values were invalid: Provided Arn is not a DynamoDB resource arn: arn:aws:s3:::bucket/Music",
        ),
        (
            "arn:aws:dynamodb:us-east-1:000000000000:table/Music/index/Idx",
            ErrorCode::Validation,
            "One or more parameter values were invalid: Invalid resource arn provided, only table or stream is accepted. Provided resource arn: arn:aws:dynamodb:us-east-1:000000000000:table/Music/index/Idx",
        ),
        (
            "arn:aws:dynamodb:eu-west-1:000000000000:table/Music",
            ErrorCode::Validation,
            "Invalid TableArn: Invalid ResourceArn provided as input arn:aws:dynamodb:eu-west-1:000000000000:table/Music",
        ),
        (
            "arn:aws:dynamodb:us-east-1:111111111111:table/Music",
            ErrorCode::AccessDenied,
            "Access is denied",
        ),
        (
            "arn:aws:dynamodb:us-east-1:000000000000:table/Missing",
            ErrorCode::ResourceNotFound,
            "Requested resource not found: ResourceArn: arn:aws:dynamodb:us-east-1:000000000000:table/Missing not found",
        ),
    ];
    for (arn, code, text) in cases {
        let expected = (code, text.to_owned());
        let found = |error: ServiceError| (error.code, error.message);
        assert_eq!(tags(&db, arn).await.map_err(found), Err(expected.clone()));
        assert_eq!(tag(&db, arn, &[("k", "v")]).await.map_err(found), Err(expected.clone()));
        assert_eq!(untag(&db, arn, &["k"]).await.map_err(found), Err(expected));
    }
    assert_eq!(message(tag(&db, ARN, &[]).await), "Atleast one Tag needs to be provided as Input.");
    assert_eq!(
        message(untag(&db, ARN, &[]).await),
        "Atleast one Tag Key needs to be provided as Input."
    );
    let list = ListTagsOfResourceRequest {
        resource_arn: ARN.to_owned(),
        next_token: Some("nonsense".to_owned()),
    };
    assert_eq!(
        message(db.execute(Request::ListTagsOfResource(Box::new(list))).await),
        "One or more parameter values were invalid: Invalid NextToken"
    );
}

#[tokio::test]
async fn the_account_is_described() {
    let db = open(&engine().await).await;
    let Response::DescribeLimits(limits) = db.execute(Request::DescribeLimits).await.unwrap()
    else {
        panic!("another answer");
    };
    assert_eq!(limits.account_max_read_capacity_units, 80_000);
    assert_eq!(limits.table_max_write_capacity_units, 40_000);
    let Response::DescribeEndpoints(endpoint) =
        db.execute(Request::DescribeEndpoints).await.unwrap()
    else {
        panic!("another answer");
    };
    assert_eq!(endpoint.address, "dynamodb.us-east-1.amazonaws.com");
}
