//! TagResource, UntagResource and ListTagsOfResource.
//!
//! A table has at most 50 tags, which fit into one answer, so there is never a `NextToken`, and
//! whoever sends one has it from elsewhere.
//! Source: API Reference, the operations' pages; Developer Guide, "Tagging restrictions".

use std::collections::BTreeMap;
use std::sync::Arc;

use zenobe_model::operation::{
    GivenTag, ListTagsOfResourceRequest, ListTagsOfResourceResponse, Tag, TagResourceRequest,
    UntagResourceRequest,
};
use zenobe_model::{ErrorCode, ServiceError};

use crate::Inner;
use crate::catalog::{ArnProblem, Edit, Table, parse_arn};

/// The most tags of a table.
const TAGS_MAX: usize = 50;
/// The longest key, in characters.
const KEY_CHARACTERS_MAX: usize = 128;
/// The longest value, in characters.
const VALUE_CHARACTERS_MAX: usize = 256;
/// What keys that belong to AWS begin with.
const RESERVED_PREFIX: &str = "aws:";

/// `TagResource`.
pub(crate) async fn tag_resource(
    db: &Arc<Inner>,
    request: TagResourceRequest,
) -> Result<(), ServiceError> {
    check_arn(db, &request.resource_arn)?;
    if request.tags.is_empty() {
        return Err(ServiceError::validation("Atleast one Tag needs to be provided as Input."));
    }
    merged(&[], &request.tags)?;
    change(db, &request.resource_arn, |table| merged(&table.tags, &request.tags)).await
}

/// `UntagResource`.
pub(crate) async fn untag_resource(
    db: &Arc<Inner>,
    request: UntagResourceRequest,
) -> Result<(), ServiceError> {
    check_arn(db, &request.resource_arn)?;
    if request.tag_keys.is_empty() {
        return Err(ServiceError::validation("Atleast one Tag Key needs to be provided as Input."));
    }
    if request.tag_keys.len() > TAGS_MAX {
        return Err(too_many());
    }
    for key in &request.tag_keys {
        checked_key(Some(key))?;
    }
    change(db, &request.resource_arn, |table| {
        let kept = |tag: &&Tag| !request.tag_keys.contains(&tag.key);
        Ok(table.tags.iter().filter(kept).cloned().collect())
    })
    .await
}

/// `ListTagsOfResource`.
pub(crate) fn list_tags_of_resource(
    db: &Inner,
    request: &ListTagsOfResourceRequest,
) -> Result<ListTagsOfResourceResponse, ServiceError> {
    check_arn(db, &request.resource_arn)?;
    let table = find(db, &request.resource_arn)?;
    if request.next_token.is_some() {
        return Err(ServiceError::validation(
            "One or more parameter values were invalid: Invalid NextToken",
        ));
    }
    Ok(ListTagsOfResourceResponse { tags: table.tags.clone(), next_token: None })
}

fn find(db: &Inner, arn: &str) -> Result<Arc<Table>, ServiceError> {
    db.catalog.find_by_arn(arn).ok_or_else(|| {
        ServiceError::new(
            ErrorCode::ResourceNotFound,
            format!("Requested resource not found: ResourceArn: {arn} not found"),
        )
    })
}

async fn change(
    db: &Arc<Inner>,
    arn: &str,
    tags: impl Fn(&Table) -> Result<Vec<Tag>, ServiceError>,
) -> Result<(), ServiceError> {
    let changer = db.catalog.change(db).await;
    let table = find(db, arn)?;
    changer
        .update(&table.name, |table| Ok(Edit::from(Table { tags: tags(table)?, ..table.clone() })))
        .await?;
    Ok(())
}

/// Checks that an ARN may name a table of this account in this Region.
fn check_arn(db: &Inner, arn: &str) -> Result<(), ServiceError> {
    let invalid = |what: String| {
        Err(ServiceError::validation(format!("One or more parameter values were invalid: {what}")))
    };
    let parsed = match parse_arn(arn) {
        Ok(parsed) => parsed,
        Err(ArnProblem::NoArn) => return invalid(format!("ARNs must start with 'arn:': {arn}")),
        Err(ArnProblem::NotDynamoDb) => {
            return invalid(format!("Provided Arn is not a DynamoDB resource arn: {arn}"));
        }
    };
    let Some(resource) = parsed.resource.strip_prefix("table/") else {
        return invalid(format!("Provided Arn is not a DynamoDB resource arn: {arn}"));
    };
    if resource.contains("/index/") {
        return invalid(format!(
            "Invalid resource arn provided, only table or stream is accepted. Provided resource arn: {arn}"
        ));
    }
    if parsed.region != db.catalog.region() || parsed.partition != "aws" {
        return Err(ServiceError::validation(format!(
            "Invalid TableArn: Invalid ResourceArn provided as input {arn}"
        )));
    }
    if parsed.account_id != db.catalog.account_id() {
        return Err(ServiceError::new(ErrorCode::AccessDenied, "Access is denied"));
    }
    Ok(())
}

/// The tags after adding `added`, sorted by key.
///
/// # Errors
/// The service's errors for malformed tags, and for too many.
pub(super) fn merged(current: &[Tag], added: &[GivenTag]) -> Result<Vec<Tag>, ServiceError> {
    let mut tags: BTreeMap<String, String> = BTreeMap::new();
    for given in added {
        let key = checked_key(given.key.as_deref())?;
        if key.starts_with(RESERVED_PREFIX) {
            return Err(ServiceError::validation(format!(
                "Tag Key cannot be prefixed with {RESERVED_PREFIX}, Key: {key}"
            )));
        }
        let value = checked_value(given.value.as_deref())?;
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(ServiceError::validation(format!(
                "Duplicate Tag Keys provided as input: Duplicate Tag Key found {key}"
            )));
        }
    }
    for tag in current {
        tags.entry(tag.key.clone()).or_insert_with(|| tag.value.clone());
    }
    if tags.len() > TAGS_MAX {
        return Err(too_many());
    }
    Ok(tags.into_iter().map(|(key, value)| Tag { key, value }).collect())
}

fn checked_key(key: Option<&str>) -> Result<&str, ServiceError> {
    let fits = |key: &&str| !key.is_empty() && is_tag_text(key, KEY_CHARACTERS_MAX);
    key.filter(fits).ok_or_else(|| invalid("Key", key))
}

fn checked_value(value: Option<&str>) -> Result<&str, ServiceError> {
    let fits = |value: &&str| is_tag_text(value, VALUE_CHARACTERS_MAX);
    value.filter(fits).ok_or_else(|| invalid("Value", value))
}

fn invalid(what: &str, given: Option<&str>) -> ServiceError {
    let given = given.unwrap_or("null");
    ServiceError::validation(format!("The Tag {what} provided is invalid, {what}: {given}"))
}

/// Letters, digits and spaces of any script, and `+ - = . _ : / @`, and not too many of them.
fn is_tag_text(text: &str, characters_max: usize) -> bool {
    let allowed = |character: char| {
        character.is_alphanumeric()
            || character.is_whitespace()
            || matches!(character, '+' | '-' | '=' | '.' | '_' | ':' | '/' | '@')
    };
    text.chars().count() <= characters_max && text.chars().all(allowed)
}

fn too_many() -> ServiceError {
    ServiceError::validation("Number of Tags exceed the current limit for the provided ResourceArn")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> Tag {
        Tag { key: key.to_owned(), value: value.to_owned() }
    }

    fn given(
        key: impl Into<Option<&'static str>>,
        value: impl Into<Option<&'static str>>,
    ) -> GivenTag {
        GivenTag { key: key.into().map(str::to_owned), value: value.into().map(str::to_owned) }
    }

    #[test]
    fn tags_are_checked_and_merged() {
        let check = |added: &[GivenTag], expected: Result<&[Tag], &str>| {
            let found = merged(&[tag("b", "1")], added);
            let expected = expected.map(<[Tag]>::to_vec).map_err(str::to_owned);
            assert_eq!(found.map_err(|error| error.message), expected);
        };
        check(&[given("a", "")], Ok(&[tag("a", ""), tag("b", "1")]));
        check(&[given("b", "2")], Ok(&[tag("b", "2")]));
        check(&[given("", "2")], Err("The Tag Key provided is invalid, Key: "));
        check(&[given(None, None)], Err("The Tag Key provided is invalid, Key: null"));
        check(&[given("k", None)], Err("The Tag Value provided is invalid, Value: null"));
        check(&[given("ключ", "表 +-=._:/@")], Ok(&[tag("b", "1"), tag("ключ", "表 +-=._:/@")]));
        check(&[given("k", "100%")], Err("The Tag Value provided is invalid, Value: 100%"));
        check(&[given("aws:x", "1")], Err("Tag Key cannot be prefixed with aws:, Key: aws:x"));
        check(
            &[given("k", "1"), given("k", "2")],
            Err("Duplicate Tag Keys provided as input: Duplicate Tag Key found k"),
        );
        let many: Vec<GivenTag> = (0..50)
            .map(|n| GivenTag { key: Some(format!("k{n}")), value: Some(String::new()) })
            .collect();
        check(&many, Err("Number of Tags exceed the current limit for the provided ResourceArn"));
    }
}
