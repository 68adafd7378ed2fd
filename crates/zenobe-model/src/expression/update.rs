//! Updates: what `UpdateExpression` and `AttributeUpdates` compile to.
//!
//! An update is pure: it reads every operand from the item as it was and then changes a copy. Lists
//! keep the indexes that they had until all else is done; what was set beyond their ends is then
//! appended in the order of indexes, and what was removed is taken out.
//!
//! Source: Developer Guide, "Using update expressions in DynamoDB".

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::condition::Literal;
use super::path::{Path, PathElement};
use super::projection::project_paths;
use crate::codec::{EncodedItem, ItemBuilder, ItemHeader, ValueRef};
use crate::error::ServiceError;
use crate::limits::{ITEM_SIZE_BYTES_MAX, NESTING_DEPTH_MAX};
use crate::number::Number;
use crate::size::{depth, number_size, value_ref_size, value_size};
use crate::value::{AttributeValue, Item, ValueType};

/// Compiled changes to one item. All operands are read from the item as it was.
#[derive(Clone, Debug, Default)]
pub struct Update {
    actions: Vec<Action>,
}

/// One change.
#[derive(Clone, Debug)]
pub enum Action {
    /// `SET path = value`; `PUT` of the legacy parameters.
    Set {
        /// What is assigned to.
        path: Path,
        /// What is assigned.
        value: UpdateValue,
    },
    /// `REMOVE path`; `DELETE` without a value of the legacy parameters.
    Remove {
        /// What is removed, if it exists.
        path: Path,
    },
    /// `ADD path value`: a number to a number, elements to a set.
    Add {
        /// What is added to; created if it does not exist.
        path: Path,
        /// What is added.
        value: Literal,
    },
    /// `DELETE path value`: elements from a set.
    Delete {
        /// What is removed from.
        path: Path,
        /// The elements to remove.
        value: Literal,
    },
    /// `ADD` of the legacy parameters: as [`Action::Add`], and elements to a list.
    LegacyAdd {
        /// The attribute that is added to.
        path: Path,
        /// What is added.
        value: Literal,
    },
    /// `DELETE` with a value of the legacy parameters: as [`Action::Delete`], with another error.
    LegacyDelete {
        /// The attribute that is removed from.
        path: Path,
        /// The elements to remove.
        value: Literal,
    },
}

/// The right side of `SET`.
#[derive(Clone, Debug)]
pub enum UpdateValue {
    /// An operand as it is.
    Operand(UpdateOperand),
    /// The sum of two numbers.
    Plus(UpdateOperand, UpdateOperand),
    /// The difference of two numbers.
    Minus(UpdateOperand, UpdateOperand),
}

/// An operand on the right side of `SET`.
#[derive(Clone, Debug)]
pub enum UpdateOperand {
    /// The value at a path, which must exist.
    Path(Path),
    /// A value of the request.
    Literal(Literal),
    /// `if_not_exists(path, otherwise)`
    IfNotExists(Path, Box<UpdateOperand>),
    /// `list_append(first, second)`
    ListAppend(Box<UpdateOperand>, Box<UpdateOperand>),
    /// A sum or difference within another one: only PartiQL has it.
    Computed(Box<UpdateValue>),
}

/// What an action does to its place, once its operands are known.
enum Change {
    Put(AttributeValue),
    Remove,
}

/// Why the right side of `SET` has no value.
enum Failure {
    /// It refers to what does not exist.
    Missing,
    Other(ServiceError),
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        Self::Other(error)
    }
}

/// A change to a list that would move the indexes of others.
struct ListChange<'a> {
    path: &'a Path,
    /// What to append; to remove if none.
    value: Option<AttributeValue>,
}

impl Update {
    /// An update of these actions, whose paths must not overlap.
    #[must_use]
    pub const fn new(actions: Vec<Action>) -> Self {
        Self { actions }
    }

    /// The actions.
    #[must_use]
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The paths that are changed, in the order of the text.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.actions.iter().map(Action::path)
    }

    /// Every path that the update changes or reads, in the order of the text.
    #[must_use]
    pub fn mentioned_paths(&self) -> Vec<&Path> {
        let mut paths = Vec::new();
        self.actions.iter().for_each(|action| action.visit(&mut |path| paths.push(path)));
        paths
    }

    /// Whether the update changes this top-level attribute, or something below it.
    #[must_use]
    pub fn touches(&self, name: &str) -> bool {
        self.paths().any(|path| path.root == name)
    }

    /// Whether there is nothing that an update of an absent item could put into a new one: such
    /// an update does not create the item.
    #[must_use]
    pub fn only_removes(&self) -> bool {
        self.actions.iter().all(|action| match action {
            Action::Remove { .. } | Action::Delete { .. } | Action::LegacyDelete { .. } => true,
            Action::Set { .. } | Action::Add { .. } | Action::LegacyAdd { .. } => false,
        })
    }

    /// Whether an UpdateItem with this expression is charged for more bytes than an item can have, whatever the item
    /// holds; it is refused then. The service does so in most Regions, us-east-1 among them; what it charges was measured
    /// there by others in 2026. Of a set that is added it charges the members that are new; here all of them are free.
    #[must_use]
    pub fn is_overcharged(&self) -> bool {
        const UPDATE: usize = 3;
        const WRITE: usize = 19;
        const REMOVE: usize = 1;
        const TARGET_ELEMENT: usize = 4;
        let mut charge = Charge(UPDATE);
        for action in &self.actions {
            charge.path(action.path(), TARGET_ELEMENT);
            match action {
                Action::Set { value, .. } => {
                    charge.add(WRITE);
                    charge.value(value);
                }
                Action::Add { value, .. } | Action::LegacyAdd { value, .. } => {
                    charge.add(WRITE);
                    if let ValueRef::N(number) = value.value() {
                        charge.add(number_size(number));
                    }
                }
                Action::Remove { .. } | Action::Delete { .. } | Action::LegacyDelete { .. } => {
                    charge.add(REMOVE)
                }
            }
        }
        charge.0 > ITEM_SIZE_BYTES_MAX
    }

    /// The type of the value that the update gives this top-level attribute, as far as the request alone tells.
    #[must_use]
    pub fn type_given_to(&self, name: &str) -> Option<ValueType> {
        let gives =
            |action: &&Action| action.path().elements.is_empty() && action.path().root == name;
        match self.actions.iter().find(gives)? {
            Action::Set { value, .. } => value.known_type(),
            Action::Add { value, .. } | Action::LegacyAdd { value, .. } => {
                Some(value.value().value_type())
            }
            Action::Remove { .. } | Action::Delete { .. } | Action::LegacyDelete { .. } => None,
        }
    }

    /// The item after the update. For an item that does not exist yet, pass one of its key alone.
    ///
    /// # Errors
    /// A `ValidationException` if an operand does not exist or does not fit.
    pub fn apply(&self, old: &Item) -> Result<Item, ServiceError> {
        let mut new = old.clone();
        self.change(old, &mut new)?;
        Ok(new)
    }

    /// The same on an encoded item: attributes that the update does not name are copied undecoded.
    /// The new item gets `header`.
    ///
    /// # Errors
    /// As [`Update::apply`].
    pub fn apply_encoded(
        &self,
        old: &EncodedItem,
        header: ItemHeader,
    ) -> Result<EncodedItem, ServiceError> {
        let touched: BTreeSet<&str> = self.paths().map(|path| path.root.as_str()).collect();
        let named: BTreeSet<&str> =
            self.mentioned_paths().into_iter().map(|path| path.root.as_str()).collect();
        let mut before = Item::new();
        for (name, value) in old.attributes() {
            if named.contains(name) {
                before.insert(name.to_owned(), value.to_owned());
            }
        }
        let mut after = before.clone();
        self.change(&before, &mut after)?;
        after.retain(|name, _| touched.contains(name.as_str()));
        let mut builder = ItemBuilder::with_capacity(header, old.size_bytes());
        let mut changed = after.iter().peekable();
        for (name, value) in old.attributes() {
            while let Some((new, value)) = changed.next_if(|(new, _)| new.as_str() < name) {
                builder.push_value(new, value);
            }
            match changed.next_if(|(new, _)| new.as_str() == name) {
                Some((_, value)) => builder.push_value(name, value),
                None if touched.contains(name) => {}
                None => builder.push_raw(name, value),
            }
        }
        for (name, value) in changed {
            builder.push_value(name, value);
        }
        Ok(builder.finish())
    }

    /// The parts of an item, before or after the update, that `UPDATED_OLD` or `UPDATED_NEW`
    /// returns; `None` if there are none, so that the response has no `Attributes`.
    ///
    /// These are the values that now stand at the paths of the update: what was appended to a list
    /// stands at another index than the update named and is not returned, and what moved up to the
    /// index of a removed element is.
    ///
    /// # Errors
    /// None today: an [`EncodedItem`] was checked when it was read.
    pub fn select(&self, item: &EncodedItem) -> Result<Option<EncodedItem>, ServiceError> {
        let selected = project_paths(self.paths(), item);
        Ok((!selected.is_empty()).then_some(selected))
    }

    /// Changes `new`, a copy of `old`.
    ///
    /// Of several errors the service reports the last one of the first kind that occurs: a value
    /// of `SET` that cannot be computed, a place that cannot be, an operand of `ADD` or `DELETE`
    /// of the wrong type, a value that does not exist.
    fn change(&self, old: &Item, new: &mut Item) -> Result<(), ServiceError> {
        let mut changes = Vec::with_capacity(self.actions.len());
        let mut is_missing = false;
        // No two paths overlap, so each value is in the new item. A short text can name a long one often.
        let mut bytes = 0;
        for action in self.actions.iter().rev() {
            let change = match action {
                Action::Set { value, .. } => match value.within(old, &mut bytes) {
                    Ok(value) => Some(Change::Put(value)),
                    Err(Failure::Missing) => {
                        is_missing = true;
                        None
                    }
                    Err(Failure::Other(error)) => return Err(error),
                },
                _ => None,
            };
            changes.push((action, change));
        }
        for (action, _) in &changes {
            check_place(old, action.path())?;
        }
        for (action, change) in &mut changes {
            if change.is_none() {
                *change = action.evaluate(old)?;
            }
        }
        if is_missing {
            return Err(missing());
        }
        if bytes > ITEM_SIZE_BYTES_MAX {
            return Err(too_large());
        }
        let mut list_changes = Vec::new();
        for (action, change) in changes {
            if let Some(change) = change {
                put(new, action.path(), change, &mut list_changes);
            }
        }
        change_lists(new, list_changes);
        let too_deep = self.actions.iter().any(|action| match action {
            Action::Set { path, .. } | Action::LegacyAdd { path, .. } => {
                new.get(&path.root).is_some_and(|value| depth(value) > NESTING_DEPTH_MAX)
            }
            _ => false,
        });
        if too_deep {
            return Err(ServiceError::validation("Nesting Levels have exceeded supported limits"));
        }
        Ok(())
    }
}

impl Action {
    /// The path that the action changes.
    #[must_use]
    pub const fn path(&self) -> &Path {
        match self {
            Self::Set { path, .. }
            | Self::Remove { path }
            | Self::Add { path, .. }
            | Self::Delete { path, .. }
            | Self::LegacyAdd { path, .. }
            | Self::LegacyDelete { path, .. } => path,
        }
    }

    /// Visits the changed path and those that are read.
    fn visit<'a>(&'a self, visitor: &mut impl FnMut(&'a Path)) {
        visitor(self.path());
        if let Self::Set { value, .. } = self {
            value.visit(visitor);
        }
    }

    /// What any action but `SET` does.
    fn evaluate(&self, old: &Item) -> Result<Option<Change>, ServiceError> {
        Ok(Some(match self {
            Self::Set { .. } => return Ok(None),
            Self::Remove { .. } => Change::Remove,
            Self::Add { path, value } => match find(old, path) {
                None => Change::Put(value.to_value()),
                Some(current) => {
                    Change::Put(add(current, value.to_value())?.ok_or_else(wrong_type)?)
                }
            },
            Self::LegacyAdd { path, value } => match (find(old, path), value.to_value()) {
                (None, value) => Change::Put(value),
                (Some(AttributeValue::L(current)), AttributeValue::L(value)) => {
                    Change::Put(AttributeValue::L(current.iter().cloned().chain(value).collect()))
                }
                (Some(current), value) => {
                    Change::Put(add(current, value)?.ok_or_else(legacy_wrong_type)?)
                }
            },
            Self::Delete { path, value } => {
                delete(find(old, path), &value.to_value()).ok_or_else(wrong_type)?
            }
            Self::LegacyDelete { path, value } => {
                delete(find(old, path), &value.to_value()).ok_or_else(legacy_wrong_type)?
            }
        }))
    }
}

/// What an update is charged for, in bytes.
struct Charge(usize);

impl Charge {
    fn add(&mut self, bytes: usize) {
        self.0 = self.0.saturating_add(bytes);
    }

    /// A path: the name of its attribute, and `element_bytes` and its name or digits for each element behind.
    fn path(&mut self, path: &Path, element_bytes: usize) {
        self.add(path.root.len());
        for element in &path.elements {
            self.add(element_bytes);
            self.add(match element {
                PathElement::Attribute(name) => name.len(),
                PathElement::Index(index) => {
                    index.checked_ilog10().map_or(1, |log| log as usize + 1)
                }
            });
        }
    }

    fn value(&mut self, value: &UpdateValue) {
        const PLUS: usize = 34;
        const MINUS: usize = 37;
        let (own, left, right) = match value {
            UpdateValue::Operand(operand) => return self.operand(operand),
            UpdateValue::Plus(left, right) => (PLUS, left, right),
            UpdateValue::Minus(left, right) => (MINUS, left, right),
        };
        self.add(own);
        self.operand(left);
        self.operand(right);
    }

    fn operand(&mut self, operand: &UpdateOperand) {
        const IF_NOT_EXISTS: usize = 39;
        const LIST_APPEND: usize = 37;
        match operand {
            UpdateOperand::Path(path) => self.operand_path(path),
            // A short text can name a long value often: once it is too much, no more is measured.
            UpdateOperand::Literal(literal) if self.0 <= ITEM_SIZE_BYTES_MAX => {
                self.add(value_ref_size(literal.value()));
            }
            UpdateOperand::Literal(_) => {}
            UpdateOperand::IfNotExists(path, otherwise) => {
                self.add(IF_NOT_EXISTS);
                self.operand_path(path);
                self.operand(otherwise);
            }
            UpdateOperand::ListAppend(first, second) => {
                self.add(LIST_APPEND);
                self.operand(first);
                self.operand(second);
            }
            UpdateOperand::Computed(value) => self.value(value),
        }
    }

    fn operand_path(&mut self, path: &Path) {
        const PATH: usize = 1;
        const ELEMENT: usize = 14;
        self.add(PATH + ELEMENT);
        self.path(path, ELEMENT);
    }
}

impl UpdateValue {
    /// The type of the value, as far as the request alone tells.
    fn known_type(&self) -> Option<ValueType> {
        match self {
            Self::Operand(operand) => operand.known_type(),
            Self::Plus(..) | Self::Minus(..) => Some(ValueType::N),
        }
    }

    fn visit<'a>(&'a self, visitor: &mut impl FnMut(&'a Path)) {
        match self {
            Self::Operand(operand) => operand.visit(visitor),
            Self::Plus(left, right) | Self::Minus(left, right) => {
                left.visit(visitor);
                right.visit(visitor);
            }
        }
    }

    /// The value, whose size is added to `bytes`. Once those are more than an item can have, whether there is one is
    /// all that matters, and null stands for it.
    fn within(&self, old: &Item, bytes: &mut usize) -> Result<AttributeValue, Failure> {
        if *bytes <= ITEM_SIZE_BYTES_MAX {
            let value = self.evaluate(old)?;
            *bytes = bytes.saturating_add(value_size(&value));
            if *bytes <= ITEM_SIZE_BYTES_MAX {
                return Ok(value.into_owned());
            }
        } else {
            self.value_type(old)?;
        }
        Ok(AttributeValue::Null)
    }

    fn evaluate<'a>(&'a self, old: &'a Item) -> Result<Cow<'a, AttributeValue>, Failure> {
        match self {
            Self::Operand(operand) => operand.evaluate(old),
            Self::Plus(left, right) => sum(left, right, old, Number::checked_add),
            Self::Minus(left, right) => sum(left, right, old, Number::checked_sub),
        }
    }

    /// The type of the value. Fails where [`Self::evaluate`] does.
    fn value_type(&self, old: &Item) -> Result<ValueType, Failure> {
        match self {
            Self::Operand(operand) => operand.value_type(old),
            Self::Plus(..) | Self::Minus(..) => self.evaluate(old).map(|value| value.value_type()),
        }
    }
}

impl UpdateOperand {
    /// The type of the operand, as far as the request alone tells.
    fn known_type(&self) -> Option<ValueType> {
        match self {
            Self::Path(_) | Self::IfNotExists(..) => None,
            Self::Literal(literal) => Some(literal.value().value_type()),
            Self::ListAppend(..) => Some(ValueType::L),
            Self::Computed(value) => value.known_type(),
        }
    }

    fn visit<'a>(&'a self, visitor: &mut impl FnMut(&'a Path)) {
        match self {
            Self::Path(path) => visitor(path),
            Self::Literal(_) => {}
            Self::IfNotExists(path, otherwise) => {
                visitor(path);
                otherwise.visit(visitor);
            }
            Self::ListAppend(first, second) => {
                first.visit(visitor);
                second.visit(visitor);
            }
            Self::Computed(value) => value.visit(visitor),
        }
    }

    fn evaluate<'a>(&'a self, old: &'a Item) -> Result<Cow<'a, AttributeValue>, Failure> {
        match self {
            Self::Path(path) => find(old, path).map(Cow::Borrowed).ok_or(Failure::Missing),
            Self::Literal(literal) => Ok(Cow::Owned(literal.to_value())),
            // What stands in must be there even where it is not needed.
            Self::IfNotExists(path, otherwise) => otherwise
                .evaluate(old)
                .map(|stand_in| find(old, path).map_or(stand_in, Cow::Borrowed)),
            Self::ListAppend(first, second) => join_lists(first, second, old),
            Self::Computed(value) => value.evaluate(old),
        }
    }

    /// The type of the value. Fails where [`Self::evaluate`] does.
    fn value_type(&self, old: &Item) -> Result<ValueType, Failure> {
        match self {
            Self::Path(path) => {
                find(old, path).map(AttributeValue::value_type).ok_or(Failure::Missing)
            }
            Self::Literal(literal) => Ok(literal.value().value_type()),
            Self::IfNotExists(path, otherwise) => {
                let stand_in = otherwise.value_type(old)?;
                Ok(find(old, path).map_or(stand_in, AttributeValue::value_type))
            }
            Self::ListAppend(first, second) => {
                for operand in [first, second] {
                    if operand.value_type(old)? != ValueType::L {
                        return Err(wrong_type().into());
                    }
                }
                Ok(ValueType::L)
            }
            Self::Computed(value) => value.value_type(old),
        }
    }
}

fn join_lists(
    first: &UpdateOperand,
    second: &UpdateOperand,
    old: &Item,
) -> Result<Cow<'static, AttributeValue>, Failure> {
    let first = first.evaluate(old)?;
    let AttributeValue::L(list) = &*first else { return Err(wrong_type().into()) };
    let second = second.evaluate(old)?;
    let AttributeValue::L(more) = &*second else { return Err(wrong_type().into()) };
    // An element is at least a byte long.
    if list.len() + more.len() > ITEM_SIZE_BYTES_MAX {
        return Err(too_large().into());
    }
    Ok(Cow::Owned(AttributeValue::L(list.iter().chain(more).cloned().collect())))
}

fn sum(
    left: &UpdateOperand,
    right: &UpdateOperand,
    old: &Item,
    operation: fn(Number, Number) -> Result<Number, crate::number::NumberError>,
) -> Result<Cow<'static, AttributeValue>, Failure> {
    let number = |operand: &UpdateOperand| match *operand.evaluate(old)? {
        AttributeValue::N(number) => Ok(number),
        _ => Err(Failure::from(wrong_type())),
    };
    let (left, right) = (number(left)?, number(right)?);
    operation(left, right)
        .map(|number| Cow::Owned(AttributeValue::N(number)))
        .map_err(|error| Failure::Other(error.into_service_error("")))
}

/// `None` if the types do not fit.
fn add(
    current: &AttributeValue,
    value: AttributeValue,
) -> Result<Option<AttributeValue>, ServiceError> {
    Ok(Some(match (current, value) {
        (AttributeValue::N(current), AttributeValue::N(value)) => AttributeValue::N(
            current.checked_add(value).map_err(|error| error.into_service_error(""))?,
        ),
        (AttributeValue::Ss(current), AttributeValue::Ss(value)) => {
            AttributeValue::Ss(union(current, value))
        }
        (AttributeValue::Ns(current), AttributeValue::Ns(value)) => {
            AttributeValue::Ns(union(current, value))
        }
        (AttributeValue::Bs(current), AttributeValue::Bs(value)) => {
            AttributeValue::Bs(union(current, value))
        }
        _ => return Ok(None),
    }))
}

/// Sets stay sorted and without duplicates.
fn union<T: Ord + Clone>(current: &[T], value: Vec<T>) -> Vec<T> {
    let mut elements: Vec<T> = current.iter().cloned().chain(value).collect();
    elements.sort_unstable();
    elements.dedup();
    elements
}

/// `None` if the types do not fit.
fn delete(current: Option<&AttributeValue>, value: &AttributeValue) -> Option<Change> {
    Some(match (current, value) {
        (None, _) => Change::Remove,
        (Some(AttributeValue::Ss(current)), AttributeValue::Ss(value)) => {
            difference(current, value)
                .map_or(Change::Remove, |set| Change::Put(AttributeValue::Ss(set)))
        }
        (Some(AttributeValue::Ns(current)), AttributeValue::Ns(value)) => {
            difference(current, value)
                .map_or(Change::Remove, |set| Change::Put(AttributeValue::Ns(set)))
        }
        (Some(AttributeValue::Bs(current)), AttributeValue::Bs(value)) => {
            difference(current, value)
                .map_or(Change::Remove, |set| Change::Put(AttributeValue::Bs(set)))
        }
        _ => return None,
    })
}

/// `None` if nothing is left: sets are never empty.
fn difference<T: Ord + Clone>(current: &[T], value: &[T]) -> Option<Vec<T>> {
    let left: Vec<T> =
        current.iter().filter(|element| value.binary_search(element).is_err()).cloned().collect();
    (!left.is_empty()).then_some(left)
}

fn find<'a>(item: &'a Item, path: &Path) -> Option<&'a AttributeValue> {
    find_steps(item, &path.root, &path.elements)
}

fn find_steps<'a>(
    item: &'a Item,
    root: &str,
    elements: &[PathElement],
) -> Option<&'a AttributeValue> {
    elements.iter().try_fold(item.get(root)?, |value, element| match (element, value) {
        (PathElement::Attribute(name), AttributeValue::M(map)) => map.get(name),
        (PathElement::Index(index), AttributeValue::L(list)) => list.get(*index),
        _ => None,
    })
}

/// The value at the first `length` elements of a path.
fn find_mut<'a>(item: &'a mut Item, path: &Path, length: usize) -> Option<&'a mut AttributeValue> {
    let root = item.get_mut(&path.root)?;
    path.elements.iter().take(length).try_fold(root, |value, element| match (element, value) {
        (PathElement::Attribute(name), AttributeValue::M(map)) => map.get_mut(name),
        (PathElement::Index(index), AttributeValue::L(list)) => list.get_mut(*index),
        _ => None,
    })
}

/// The parent of the path's last element exists and is a map or a list, as the element needs it.
fn check_place(item: &Item, path: &Path) -> Result<(), ServiceError> {
    let Some((last, parents)) = path.elements.split_last() else { return Ok(()) };
    match (last, find_steps(item, &path.root, parents)) {
        (PathElement::Attribute(_), Some(AttributeValue::M(_)))
        | (PathElement::Index(_), Some(AttributeValue::L(_))) => Ok(()),
        _ => Err(ServiceError::validation(
            "The document path provided in the update expression is invalid for update",
        )),
    }
}

/// Carries out a change at a place that was checked, or notes it if it moves the indexes of a list.
fn put<'a>(
    item: &mut Item,
    path: &'a Path,
    change: Change,
    list_changes: &mut Vec<ListChange<'a>>,
) {
    let Some((last, parents)) = path.elements.split_last() else {
        match change {
            Change::Put(value) => item.insert(path.root.clone(), value),
            Change::Remove => item.remove(&path.root),
        };
        return;
    };
    match (last, find_mut(item, path, parents.len())) {
        (PathElement::Attribute(name), Some(AttributeValue::M(map))) => {
            match change {
                Change::Put(value) => map.insert(name.clone(), value),
                Change::Remove => map.remove(name),
            };
        }
        (PathElement::Index(index), Some(AttributeValue::L(list))) => {
            match (change, list.get_mut(*index)) {
                (Change::Put(value), Some(element)) => *element = value,
                (Change::Put(value), None) => {
                    list_changes.push(ListChange { path, value: Some(value) });
                }
                (Change::Remove, Some(_)) => list_changes.push(ListChange { path, value: None }),
                (Change::Remove, None) => {}
            }
        }
        _ => {}
    }
}

/// Appends from the lowest index up, then removes from the highest down: no change then moves an
/// element that a later one is meant for.
fn change_lists(item: &mut Item, mut changes: Vec<ListChange<'_>>) {
    changes.sort_by(|left, right| {
        right.value.is_some().cmp(&left.value.is_some()).then_with(|| {
            let order = compare_paths(left.path, right.path);
            if left.value.is_some() { order } else { order.reverse() }
        })
    });
    for ListChange { path, value } in changes {
        let Some((PathElement::Index(index), parents)) = path.elements.split_last() else {
            continue;
        };
        if let Some(AttributeValue::L(list)) = find_mut(item, path, parents.len()) {
            match value {
                Some(value) => list.push(value),
                None if *index < list.len() => {
                    list.remove(*index);
                }
                None => {}
            }
        }
    }
}

fn compare_paths(left: &Path, right: &Path) -> Ordering {
    let compare = |left: &PathElement, right: &PathElement| match (left, right) {
        (PathElement::Attribute(left), PathElement::Attribute(right)) => left.cmp(right),
        (PathElement::Index(left), PathElement::Index(right)) => left.cmp(right),
        (PathElement::Attribute(_), PathElement::Index(_)) => Ordering::Less,
        (PathElement::Index(_), PathElement::Attribute(_)) => Ordering::Greater,
    };
    let pairs = left.elements.iter().zip(&right.elements);
    left.root
        .cmp(&right.root)
        .then_with(|| {
            pairs
                .map(|(left, right)| compare(left, right))
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal)
        })
        .then_with(|| left.elements.len().cmp(&right.elements.len()))
}

/// What an update answers whose item would be larger than items may be.
#[must_use]
pub fn too_large() -> ServiceError {
    ServiceError::validation("Item size to update has exceeded the maximum allowed size")
}

fn missing() -> ServiceError {
    ServiceError::validation(
        "The provided expression refers to an attribute that does not exist in the item",
    )
}

fn wrong_type() -> ServiceError {
    ServiceError::validation("An operand in the update expression has an incorrect data type")
}

fn legacy_wrong_type() -> ServiceError {
    ServiceError::validation("Type mismatch for attribute to update")
}
