//! From texts to compiled expressions: the order of checks and their texts.
//!
//! Every kind of expression goes through the same stages, and the first stage that finds something
//! wrong reports it:
//!
//! 1. the text is neither empty nor too long, parses, and has no redundant parentheses;
//! 2. in the order of the text: functions are known and stand where they may, words are not
//!    reserved, indexes are in range;
//! 3. (updates) no section comes twice;
//! 4. names and values are defined, operands fit in number and type. Conditions are read from the
//!    left; updates and projections resolve their paths from the right and check that they are
//!    apart, and then the operands of updates are looked at, from the right too;
//! 5. (conditions) there are not too many operators.
//!
//! Source: observed; Developer Guide, "Expression limits".

use std::collections::BTreeSet;

use super::condition::{Comparison, Condition, Literal, Operand};
use super::key_condition::{KeyConditionExpression, from_condition};
use super::lexer::{TokenKind, is_placeholder};
use super::path::{Path, PathElement, Relation};
use super::projection::Projection;
use super::reserved::is_reserved;
use super::syntax::{
    self, ActionNode, ElementNode, Node, PathNode, Section, SyntaxError, ValueNode,
};
use super::update::{Action, Update, UpdateOperand, UpdateValue};
use crate::error::ServiceError;
use crate::limits::{
    EXPRESSION_BYTES_MAX, EXPRESSION_OPERATORS_MAX, IN_OPERANDS_MAX, NESTING_DEPTH_MAX,
};
use crate::operation::{ExpressionAttributeNames, ExpressionAttributeValues};
use crate::value::{AttributeValue, ValueType};

/// The longest key of `ExpressionAttributeNames` and `ExpressionAttributeValues`, in bytes.
const PLACEHOLDER_BYTES_MAX: usize = 255;
/// The longest attribute name, in bytes.
const NAME_BYTES_MAX: usize = 65_535;
/// The greatest index of a list.
const INDEX_MAX: u64 = 2_147_483_647;

/// The parameters that hold expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpressionKind {
    /// `ConditionExpression`
    Condition,
    /// `FilterExpression`
    Filter,
    /// `KeyConditionExpression`
    KeyCondition,
    /// `ProjectionExpression`
    Projection,
    /// `UpdateExpression`
    Update,
}

impl ExpressionKind {
    /// The name of the parameter, as error texts have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Condition => "ConditionExpression",
            Self::Filter => "FilterExpression",
            Self::KeyCondition => "KeyConditionExpression",
            Self::Projection => "ProjectionExpression",
            Self::Update => "UpdateExpression",
        }
    }

    /// An error of an expression of this kind.
    fn invalid(self, message: impl std::fmt::Display) -> ServiceError {
        ServiceError::validation(format!("Invalid {}: {message}", self.name()))
    }

    fn syntax_error(self, error: SyntaxError) -> ServiceError {
        match error {
            SyntaxError::Token { token, near } => {
                self.invalid(format_args!("Syntax error; token: \"{token}\", near: \"{near}\""))
            }
            SyntaxError::RedundantParentheses => {
                self.invalid("The expression has redundant parentheses;")
            }
            SyntaxError::Nesting => self.too_many_operators(),
        }
    }

    fn too_many_operators(self) -> ServiceError {
        self.invalid(format_args!(
            "The expression contains too many operators; operator count: {}",
            EXPRESSION_OPERATORS_MAX + 1
        ))
    }

    fn check_text(self, text: &str) -> Result<(), ServiceError> {
        if text.is_empty() {
            return Err(self.invalid("The expression can not be empty;"));
        }
        if text.len() > EXPRESSION_BYTES_MAX {
            let message = "Expression size has exceeded the maximum allowed size;";
            return Err(match self {
                Self::Condition | Self::Filter => {
                    self.invalid(format_args!("{message} expression size: {}", text.len()))
                }
                Self::KeyCondition | Self::Projection | Self::Update => self.invalid(message),
            });
        }
        Ok(())
    }
}

/// Compiles the expressions of one request and remembers which names and values they used.
#[derive(Debug)]
pub struct Compiler<'a> {
    names: Option<&'a ExpressionAttributeNames>,
    values: Option<&'a ExpressionAttributeValues>,
    used_names: BTreeSet<&'a str>,
    used_values: BTreeSet<&'a str>,
}

impl<'a> Compiler<'a> {
    /// A compiler for a request with these names and values.
    ///
    /// # Errors
    /// A `ValidationException` if the maps are empty or have invalid keys or values.
    pub fn new(
        names: Option<&'a ExpressionAttributeNames>,
        values: Option<&'a ExpressionAttributeValues>,
    ) -> Result<Self, ServiceError> {
        if let Some(names) = names {
            check_keys("ExpressionAttributeNames", names.keys(), TokenKind::Name)?;
            for (key, name) in names {
                let problem = match name.len() {
                    0 => "Empty attribute name",
                    1..=NAME_BYTES_MAX => continue,
                    _ => "Attribute name is too large, must be less than 65536 bytes",
                };
                return Err(ServiceError::validation(format!(
                    "ExpressionAttributeNames contains invalid value: {problem} for key {key}"
                )));
            }
        }
        if let Some(values) = values {
            check_keys("ExpressionAttributeValues", values.keys(), TokenKind::Value)?;
            // What is wrong with a value, and whether that names the key, is worded where it is
            // read: it depends on the operation.
            if let Some(error) = values.values().find_map(|value| value.as_ref().err()) {
                return Err(ServiceError::clone(error));
            }
        }
        Ok(Self { names, values, used_names: BTreeSet::new(), used_values: BTreeSet::new() })
    }

    /// Compiles a condition or a filter.
    ///
    /// # Errors
    /// A `ValidationException` that names the parameter.
    pub fn condition(
        &mut self,
        kind: ExpressionKind,
        text: &'a str,
    ) -> Result<Condition, ServiceError> {
        kind.check_text(text)?;
        let parsed = syntax::condition(text).map_err(|error| kind.syntax_error(error))?;
        // Each of these parentheses needs an operator of its own. Checked here, because what
        // follows recurses.
        if parsed.depth > EXPRESSION_OPERATORS_MAX {
            return Err(kind.too_many_operators());
        }
        check_condition_words(kind, &parsed.tree, Place::Condition)?;
        let mut checker = Checker { compiler: self, kind, operators: 0 };
        let condition = checker.condition(parsed.tree)?;
        if checker.operators > EXPRESSION_OPERATORS_MAX {
            return Err(kind.too_many_operators());
        }
        Ok(condition)
    }

    /// Compiles an `UpdateExpression`.
    ///
    /// # Errors
    /// A `ValidationException` that names the parameter.
    pub fn update(&mut self, text: &'a str) -> Result<Update, ServiceError> {
        let kind = ExpressionKind::Update;
        kind.check_text(text)?;
        let parsed = syntax::update(text).map_err(|error| kind.syntax_error(error))?;
        for action in &parsed.tree.actions {
            check_path_words(kind, &action.path)?;
            match &action.value {
                Some(ValueNode::Operand(node)) => check_update_words(node, Place::Value)?,
                Some(ValueNode::Plus(left, right) | ValueNode::Minus(left, right)) => {
                    check_update_words(left, Place::Operand)?;
                    check_update_words(right, Place::Operand)?;
                }
                None => {}
            }
        }
        if let Some(section) = parsed.tree.repeated {
            return Err(kind.invalid(format_args!(
                "The \"{}\" section can only be used once in an update expression;",
                section_name(section)
            )));
        }
        let mut checker = Checker { compiler: self, kind, operators: 0 };
        checker.update(parsed.tree.actions)
    }

    /// Compiles a `ProjectionExpression`.
    ///
    /// # Errors
    /// A `ValidationException` that names the parameter.
    pub fn projection(&mut self, text: &'a str) -> Result<Projection, ServiceError> {
        let kind = ExpressionKind::Projection;
        kind.check_text(text)?;
        let parsed = syntax::projection(text).map_err(|error| kind.syntax_error(error))?;
        for path in &parsed.tree {
            check_path_words(kind, path)?;
        }
        let mut checker = Checker { compiler: self, kind, operators: 0 };
        Ok(Projection::new(checker.paths_apart(parsed.tree.iter())?))
    }

    /// Compiles a `KeyConditionExpression`.
    ///
    /// # Errors
    /// A `ValidationException` that names the parameter.
    pub fn key_condition(&mut self, text: &'a str) -> Result<KeyConditionExpression, ServiceError> {
        from_condition(&self.condition(ExpressionKind::KeyCondition, text)?)
    }

    /// Ends the compilation.
    ///
    /// # Errors
    /// A `ValidationException` if a name, or else a value, was not used by any expression.
    pub fn finish(self) -> Result<(), ServiceError> {
        if let Some(names) = self.names {
            check_used("ExpressionAttributeNames", names.keys(), &self.used_names)?;
        }
        if let Some(values) = self.values {
            check_used("ExpressionAttributeValues", values.keys(), &self.used_values)?;
        }
        Ok(())
    }
}

fn check_keys<'k>(
    parameter: &str,
    keys: impl ExactSizeIterator<Item = &'k String>,
    kind: TokenKind,
) -> Result<(), ServiceError> {
    if keys.len() == 0 {
        return Err(ServiceError::validation(format!("{parameter} must not be empty")));
    }
    for key in keys {
        let problem = if key.is_empty() {
            "The expression attribute map contains an empty key;".to_owned()
        } else if key.len() > PLACEHOLDER_BYTES_MAX {
            format!(
                "The expression attribute map contains a key that is too long; size of key: {}",
                key.len()
            )
        } else if is_placeholder(key, kind) {
            continue;
        } else {
            format!("Syntax error; key: \"{key}\"")
        };
        return Err(ServiceError::validation(format!(
            "{parameter} contains invalid key: {problem}"
        )));
    }
    Ok(())
}

fn check_used<'k>(
    parameter: &str,
    keys: impl Iterator<Item = &'k String>,
    used: &BTreeSet<&str>,
) -> Result<(), ServiceError> {
    let mut unused: Vec<&str> =
        keys.map(String::as_str).filter(|key| !used.contains(key)).collect();
    if unused.is_empty() {
        return Ok(());
    }
    sort_as_hash_set(&mut unused);
    Err(ServiceError::validation(format!(
        "Value provided in {parameter} unused in expressions: keys: {{{}}}",
        unused.join(", ")
    )))
}

/// The order in which the service lists a set of keys: that of a Java `HashSet`.
fn sort_as_hash_set(keys: &mut [&str]) {
    let buckets = (keys.len() * 4).div_ceil(3).next_power_of_two().max(16);
    keys.sort_by_key(|key| {
        let hash = key
            .encode_utf16()
            .fold(0u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
        (hash ^ (hash >> 16)) as usize & (buckets - 1)
    });
}

const fn section_name(section: Section) -> &'static str {
    match section {
        Section::Set => "SET",
        Section::Remove => "REMOVE",
        Section::Add => "ADD",
        Section::Delete => "DELETE",
    }
}

/// Where a function stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// As a condition.
    Condition,
    /// As an operand of an operator or function.
    Operand,
    /// Directly at the right side of `SET`.
    Value,
}

const CONDITION_FUNCTIONS: [&str; 5] =
    ["attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains"];

fn is_condition_function(name: &str) -> bool {
    name == "size" || CONDITION_FUNCTIONS.contains(&name)
}

fn is_update_function(name: &str) -> bool {
    matches!(name, "if_not_exists" | "list_append")
}

fn unknown_function(kind: ExpressionKind, name: &str) -> ServiceError {
    kind.invalid(format_args!("Invalid function name; function: {name}"))
}

fn misused_function(kind: ExpressionKind, name: &str) -> ServiceError {
    kind.invalid(format_args!(
        "The function is not allowed to be used this way in an expression; function: {name}"
    ))
}

fn check_condition_words(
    kind: ExpressionKind,
    node: &Node<'_>,
    place: Place,
) -> Result<(), ServiceError> {
    let check_all = |nodes: &[Node<'_>], place| {
        nodes.iter().try_for_each(|node| check_condition_words(kind, node, place))
    };
    match node {
        Node::Value(_) => Ok(()),
        Node::Path(path) => check_path_words(kind, path),
        Node::Function(name, arguments) => {
            if is_update_function(name) {
                return Err(kind.invalid(format_args!(
                    "The function is not allowed in a condition expression; function: {name}"
                )));
            }
            if !is_condition_function(name) {
                return Err(unknown_function(kind, name));
            }
            if (place == Place::Operand) != (*name == "size") {
                return Err(misused_function(kind, name));
            }
            check_all(arguments, Place::Operand)
        }
        Node::Compare(_, operands) => check_all(operands.as_slice(), Place::Operand),
        Node::Between(operands) => check_all(operands.as_slice(), Place::Operand),
        Node::In(operands) => check_all(operands, Place::Operand),
        Node::And(nodes) | Node::Or(nodes) => check_all(nodes, Place::Condition),
        Node::Not(_, node) => check_condition_words(kind, node, Place::Condition),
    }
}

fn check_update_words(node: &Node<'_>, place: Place) -> Result<(), ServiceError> {
    let kind = ExpressionKind::Update;
    match node {
        Node::Path(path) => check_path_words(kind, path),
        Node::Function(name, arguments) => {
            if is_condition_function(name) {
                return Err(kind.invalid(format_args!(
                    "The function is not allowed in an update expression; function: {name}"
                )));
            }
            if !is_update_function(name) {
                return Err(unknown_function(kind, name));
            }
            if *name == "list_append" && place != Place::Value {
                return Err(misused_function(kind, name));
            }
            arguments.iter().try_for_each(|node| check_update_words(node, Place::Operand))
        }
        _ => Ok(()),
    }
}

fn check_path_words(kind: ExpressionKind, path: &PathNode<'_>) -> Result<(), ServiceError> {
    check_word(kind, path.root)?;
    for element in &path.elements {
        match element {
            ElementNode::Name(name) => check_word(kind, name)?,
            ElementNode::Index(digits) => {
                if digits.parse::<u64>().map_or(true, |index| index > INDEX_MAX) {
                    return Err(kind.invalid(format_args!(
                        "List index is not within the allowable range; index: [{digits}]"
                    )));
                }
            }
        }
    }
    Ok(())
}

fn check_word(kind: ExpressionKind, word: &str) -> Result<(), ServiceError> {
    if is_reserved(word) {
        return Err(kind.invalid(format_args!(
            "Attribute name is a reserved keyword; reserved keyword: {word}"
        )));
    }
    Ok(())
}

/// Stage 4: resolves names and values and checks operands.
struct Checker<'c, 'a> {
    compiler: &'c mut Compiler<'a>,
    kind: ExpressionKind,
    operators: usize,
}

impl<'a> Checker<'_, 'a> {
    fn name(&mut self, word: &'a str) -> Result<String, ServiceError> {
        if !word.starts_with('#') {
            return Ok(word.to_owned());
        }
        let Some(name) = self.compiler.names.and_then(|names| names.get(word)) else {
            return Err(self.kind.invalid(format_args!(
                "An expression attribute name used in the document path is not defined; \
                 attribute name: {word}"
            )));
        };
        self.compiler.used_names.insert(word);
        Ok(name.clone())
    }

    fn value(&mut self, word: &'a str) -> Result<&'a AttributeValue, ServiceError> {
        let Some(Ok(value)) = self.compiler.values.and_then(|values| values.get(word)) else {
            return Err(self.kind.invalid(format_args!(
                "An expression attribute value used in expression is not defined; \
                 attribute value: {word}"
            )));
        };
        self.compiler.used_values.insert(word);
        Ok(value)
    }

    fn path(&mut self, node: &PathNode<'a>) -> Result<Path, ServiceError> {
        let root = self.name(node.root)?;
        let mut elements = Vec::with_capacity(node.elements.len());
        for element in &node.elements {
            elements.push(match element {
                ElementNode::Name(name) => PathElement::Attribute(self.name(name)?),
                ElementNode::Index(digits) => {
                    PathElement::Index(digits.parse().unwrap_or(usize::MAX))
                }
            });
        }
        let levels = elements.len() + 1;
        if levels > NESTING_DEPTH_MAX {
            return Err(self.kind.invalid(format_args!(
                "The document path has too many nesting levels; nesting levels: {levels}"
            )));
        }
        Ok(Path { root, elements })
    }

    /// Resolves paths from the right and checks that no two of them touch each other.
    fn paths_apart<'n>(
        &mut self,
        nodes: impl DoubleEndedIterator<Item = &'n PathNode<'a>>,
    ) -> Result<Vec<Path>, ServiceError>
    where
        'a: 'n,
    {
        let mut paths: Vec<Path> = Vec::new();
        for node in nodes.rev() {
            let path = self.path(node)?;
            for other in paths.iter().rev() {
                let problem = match path.relation(other) {
                    Relation::Apart => continue,
                    Relation::Overlap => "overlap",
                    Relation::Conflict => "conflict",
                };
                return Err(self.kind.invalid(format_args!(
                    "Two document paths {problem} with each other; must remove or rewrite one of \
                     these paths; path one: {path}, path two: {other}"
                )));
            }
            paths.push(path);
        }
        paths.reverse();
        Ok(paths)
    }

    fn condition(&mut self, node: Node<'a>) -> Result<Condition, ServiceError> {
        match node {
            Node::And(nodes) => self.conditions(nodes).map(Condition::And),
            Node::Or(nodes) => self.conditions(nodes).map(Condition::Or),
            Node::Not(times, node) => {
                self.operators += times;
                let negated = Condition::Not(Box::new(self.condition(*node)?));
                Ok(if times % 2 == 0 { Condition::Not(Box::new(negated)) } else { negated })
            }
            node => self.simple_condition(node),
        }
    }

    /// A condition without conditions in it: apart, so that the stack does not hold its locals once
    /// per parenthesis.
    fn simple_condition(&mut self, node: Node<'a>) -> Result<Condition, ServiceError> {
        match node {
            Node::Compare(operator, operands) => {
                self.operators += 1;
                let [left, right] = *operands;
                let (left, right) = (self.operand(left)?, self.operand(right)?);
                if !matches!(operator, Comparison::Equal | Comparison::NotEqual) {
                    self.check_ordered(operator.symbol(), &[&left, &right])?;
                }
                self.check_distinct(operator.symbol(), &left, std::slice::from_ref(&right))?;
                Ok(Condition::Compare { operator, left, right })
            }
            Node::Between(operands) => {
                self.operators += 1;
                let [operand, low, high] = *operands;
                let operand = self.operand(operand)?;
                let bounds = [self.operand(low)?, self.operand(high)?];
                let [low, high] = &bounds;
                self.check_ordered("BETWEEN", &[&operand, low, high])?;
                self.check_distinct("BETWEEN", &operand, &bounds)?;
                self.check_bounds(low, high)?;
                let [low, high] = bounds;
                Ok(Condition::Between { operand, low, high })
            }
            Node::In(nodes) => self.condition_in(nodes),
            Node::Function(name, arguments) => self.condition_function(name, arguments),
            // The parser has no such condition.
            _ => Err(ServiceError::internal()),
        }
    }

    fn conditions(&mut self, nodes: Vec<Node<'a>>) -> Result<Vec<Condition>, ServiceError> {
        self.operators += nodes.len().saturating_sub(1);
        nodes.into_iter().map(|node| self.condition(node)).collect()
    }

    fn condition_in(&mut self, nodes: Vec<Node<'a>>) -> Result<Condition, ServiceError> {
        self.operators += 1;
        let mut operands = self.operands(nodes)?;
        let operand = if operands.is_empty() {
            return Err(ServiceError::internal());
        } else {
            operands.remove(0)
        };
        if operands.len() > IN_OPERANDS_MAX {
            return Err(self.kind.invalid(format_args!(
                "The IN operator is provided with too many operands; number of operands: {}",
                operands.len()
            )));
        }
        self.check_distinct("IN", &operand, &operands)?;
        Ok(Condition::In { operand, candidates: operands })
    }

    fn operands(&mut self, nodes: Vec<Node<'a>>) -> Result<Vec<Operand>, ServiceError> {
        nodes.into_iter().map(|node| self.operand(node)).collect()
    }

    fn operand(&mut self, node: Node<'a>) -> Result<Operand, ServiceError> {
        match node {
            Node::Path(path) => self.path(&path).map(Operand::Path),
            Node::Value(word) => Ok(Operand::Literal(Literal::from(self.value(word)?))),
            Node::Function(name, arguments) => {
                self.operators += 1;
                let [operand] = self.arguments(name, arguments)?;
                match static_type(&operand) {
                    Some(found @ (ValueType::N | ValueType::Bool | ValueType::Null)) => {
                        Err(self.wrong_type(name, found))
                    }
                    _ => Ok(Operand::Size(Box::new(operand))),
                }
            }
            // The parser has no such operand.
            _ => Err(ServiceError::internal()),
        }
    }

    /// The arguments of a function, as many as it takes.
    fn arguments<const N: usize>(
        &mut self,
        name: &str,
        nodes: Vec<Node<'a>>,
    ) -> Result<[Operand; N], ServiceError> {
        let operands = self.operands(nodes)?;
        operands.try_into().map_err(|operands: Vec<Operand>| self.wrong_count(name, operands.len()))
    }

    fn condition_function(
        &mut self,
        name: &'a str,
        nodes: Vec<Node<'a>>,
    ) -> Result<Condition, ServiceError> {
        self.operators += 1;
        if matches!(name, "attribute_exists" | "attribute_not_exists") {
            let [operand] = self.arguments(name, nodes)?;
            return match (operand, name) {
                (Operand::Path(path), "attribute_exists") => Ok(Condition::AttributeExists(path)),
                (Operand::Path(path), _) => Ok(Condition::AttributeNotExists(path)),
                _ => Err(self.path_required(name)),
            };
        }
        let [operand, other] = self.arguments(name, nodes)?;
        if name == "begins_with" {
            for operand in [&operand, &other] {
                if let Some(found) = static_type(operand)
                    && !matches!(found, ValueType::S | ValueType::B)
                {
                    return Err(self.wrong_type(name, found));
                }
            }
        }
        self.check_distinct(name, &operand, std::slice::from_ref(&other))?;
        match name {
            "begins_with" => Ok(Condition::BeginsWith { operand, prefix: other }),
            "contains" => Ok(Condition::Contains { operand, element: other }),
            _ => {
                let value_type = self.type_argument(name, &other)?;
                Ok(Condition::AttributeType { operand, value_type })
            }
        }
    }

    /// The second argument of `attribute_type`.
    fn type_argument(&self, name: &str, operand: &Operand) -> Result<ValueType, ServiceError> {
        // The sets are in the order in which the service lists them.
        const ANY_TYPE: &str = "{N,SS,BS,INTSET,DICT,HD,DECIMALSET,BOOL,DOUBLE,DECIMAL,FLOAT,S,B,\
                                FS,INT,NS,HDS,DOUBLESET,NULL,M,L}";
        const TYPE_NAMES: &str = "{N,BS,L,B,NULL,M,S,SS,NS,BOOL}";
        let Operand::Literal(literal) = operand else {
            return Err(match static_type(operand) {
                Some(found) => self.wrong_type(name, found),
                None => self.wrong_type(name, ANY_TYPE),
            });
        };
        match literal.value() {
            crate::codec::ValueRef::S(text) => ValueType::from_name(text).ok_or_else(|| {
                self.kind.invalid(format_args!(
                    "Invalid attribute type name found; type: {text}, valid types: {TYPE_NAMES}"
                ))
            }),
            other => Err(self.wrong_type(name, other.value_type())),
        }
    }

    fn check_ordered(&self, operator: &str, operands: &[&Operand]) -> Result<(), ServiceError> {
        for operand in operands {
            if let Some(found) = static_type(operand)
                && !matches!(found, ValueType::S | ValueType::N | ValueType::B)
            {
                return Err(self.wrong_type(operator, found));
            }
        }
        Ok(())
    }

    fn check_distinct(
        &self,
        operator: &str,
        first: &Operand,
        others: &[Operand],
    ) -> Result<(), ServiceError> {
        let Operand::Path(path) = first else { return Ok(()) };
        if others.iter().any(|other| matches!(other, Operand::Path(other) if other == path)) {
            return Err(self.kind.invalid(format_args!(
                "The first operand must be distinct from the remaining operands for this operator \
                 or function; operator: {operator}, first operand: {path}"
            )));
        }
        Ok(())
    }

    fn check_bounds(&self, low: &Operand, high: &Operand) -> Result<(), ServiceError> {
        let (Operand::Literal(low), Operand::Literal(high)) = (low, high) else { return Ok(()) };
        let (low, high) = (low.value(), high.value());
        let rule = if low.value_type() != high.value_type() {
            "same data type for lower and upper bounds"
        } else if low.compare(high).is_some_and(std::cmp::Ordering::is_gt) {
            "upper bound to be greater than or equal to lower bound"
        } else {
            return Ok(());
        };
        Err(self.kind.invalid(format_args!(
            "The BETWEEN operator requires {rule}; lower bound operand: {}, upper bound operand: {}",
            shown(low),
            shown(high)
        )))
    }

    fn wrong_type(&self, operator: &str, found: impl TypeName) -> ServiceError {
        self.kind.invalid(format_args!(
            "Incorrect operand type for operator or function; operator or function: {operator}, \
             operand type: {}",
            found.type_name()
        ))
    }

    fn wrong_count(&self, name: &str, count: usize) -> ServiceError {
        self.kind.invalid(format_args!(
            "Incorrect number of operands for operator or function; operator or function: {name}, \
             number of operands: {count}"
        ))
    }

    fn path_required(&self, name: &str) -> ServiceError {
        self.kind.invalid(format_args!(
            "Operator or function requires a document path; operator or function: {name}"
        ))
    }
}

/// Updates.
impl<'a> Checker<'_, 'a> {
    fn update(&mut self, nodes: Vec<ActionNode<'a>>) -> Result<Update, ServiceError> {
        let paths = self.paths_apart(nodes.iter().map(|node| &node.path))?;
        let mut actions = Vec::with_capacity(nodes.len());
        for (node, path) in nodes.into_iter().zip(paths).rev() {
            actions.push(self.action(node, path)?);
        }
        actions.reverse();
        Ok(Update::new(actions))
    }

    fn action(&mut self, node: ActionNode<'a>, path: Path) -> Result<Action, ServiceError> {
        let Some(value) = node.value else { return Ok(Action::Remove { path }) };
        match (node.section, value) {
            (Section::Add | Section::Delete, ValueNode::Operand(Node::Value(word))) => {
                let value = self.value(word)?;
                self.check_action_type(node.section, value.value_type())?;
                let value = Literal::from(value);
                Ok(match node.section {
                    Section::Add => Action::Add { path, value },
                    _ => Action::Delete { path, value },
                })
            }
            (_, value) => Ok(Action::Set { path, value: self.update_value(value)? }),
        }
    }

    fn check_action_type(&self, section: Section, found: ValueType) -> Result<(), ServiceError> {
        let name = match found {
            ValueType::Ss | ValueType::Ns | ValueType::Bs => return Ok(()),
            ValueType::N if section == Section::Add => return Ok(()),
            ValueType::N => "NUMBER",
            ValueType::S => "STRING",
            ValueType::B => "BINARY",
            ValueType::Bool => "BOOLEAN",
            ValueType::Null => "NULL",
            ValueType::L => "LIST",
            ValueType::M => "MAP",
        };
        let section = section_name(section);
        Err(self.kind.invalid(format_args!(
            "Incorrect operand type for operator or function; operator: {section}, operand type: \
             {name}, typeSet: ALLOWED_FOR_{section}_OPERAND"
        )))
    }

    fn update_value(&mut self, node: ValueNode<'a>) -> Result<UpdateValue, ServiceError> {
        match node {
            ValueNode::Operand(node) => self.update_operand(node).map(UpdateValue::Operand),
            ValueNode::Plus(left, right) => {
                self.sum("+", left, right).map(|(left, right)| UpdateValue::Plus(left, right))
            }
            ValueNode::Minus(left, right) => {
                self.sum("-", left, right).map(|(left, right)| UpdateValue::Minus(left, right))
            }
        }
    }

    fn sum(
        &mut self,
        operator: &str,
        left: Node<'a>,
        right: Node<'a>,
    ) -> Result<(UpdateOperand, UpdateOperand), ServiceError> {
        let operands = (self.update_operand(left)?, self.update_operand(right)?);
        self.check_literals(operator, ValueType::N, &[&operands.0, &operands.1])?;
        Ok(operands)
    }

    fn update_operand(&mut self, node: Node<'a>) -> Result<UpdateOperand, ServiceError> {
        match node {
            Node::Path(path) => self.path(&path).map(UpdateOperand::Path),
            Node::Value(word) => Ok(UpdateOperand::Literal(Literal::from(self.value(word)?))),
            Node::Function(name, nodes) => {
                let mut operands = Vec::with_capacity(nodes.len());
                for node in nodes {
                    operands.push(self.update_operand(node)?);
                }
                let [first, second]: [UpdateOperand; 2] = operands
                    .try_into()
                    .map_err(|operands: Vec<_>| self.wrong_count(name, operands.len()))?;
                if name == "list_append" {
                    self.check_literals(name, ValueType::L, &[&first, &second])?;
                    return Ok(UpdateOperand::ListAppend(Box::new(first), Box::new(second)));
                }
                match first {
                    UpdateOperand::Path(path) => {
                        Ok(UpdateOperand::IfNotExists(path, Box::new(second)))
                    }
                    _ => Err(self.path_required(name)),
                }
            }
            // The parser has no such operand.
            _ => Err(ServiceError::internal()),
        }
    }

    fn check_literals(
        &self,
        operator: &str,
        wanted: ValueType,
        operands: &[&UpdateOperand],
    ) -> Result<(), ServiceError> {
        for operand in operands {
            if let UpdateOperand::Literal(literal) = operand {
                let found = literal.value().value_type();
                if found != wanted {
                    return Err(self.wrong_type(operator, found));
                }
            }
        }
        Ok(())
    }
}

/// The type of an operand, if it does not depend on the item.
fn static_type(operand: &Operand) -> Option<ValueType> {
    match operand {
        Operand::Path(_) => None,
        Operand::Literal(literal) => Some(literal.value().value_type()),
        Operand::Size(_) => Some(ValueType::N),
    }
}

/// What stands for a type in an error text.
trait TypeName {
    fn type_name(&self) -> &str;
}

impl TypeName for ValueType {
    fn type_name(&self) -> &str {
        self.name()
    }
}

impl TypeName for &str {
    fn type_name(&self) -> &str {
        self
    }
}

/// A bound of BETWEEN as the error text has it. Other types than these were refused before.
fn shown(value: crate::codec::ValueRef<'_>) -> String {
    match value {
        crate::codec::ValueRef::S(text) => format!("AttributeValue: {{S:{text}}}"),
        crate::codec::ValueRef::N(number) => format!("AttributeValue: {{N:{number}}}"),
        crate::codec::ValueRef::B(bytes) => {
            format!(
                "AttributeValue: {{B:java.nio.HeapByteBuffer[pos=0 lim={0} cap={0}]}}",
                bytes.len()
            )
        }
        other => format!("AttributeValue: {{{}}}", other.value_type().name()),
    }
}
