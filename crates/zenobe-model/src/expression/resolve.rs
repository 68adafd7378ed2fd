//! The fourth stage of compilation: names and values are resolved, operands are checked for number
//! and type, and the syntax tree becomes the compiled form.
//!
//! Literals carry their type, so that much is known before there is an item; what is not known
//! until then is no error but simply does not hold.

use super::compiler::{Compiler, ExpressionKind};
use super::condition::{Comparison, Condition, Literal, Operand};
use super::path::{Path, PathElement, Relation};
use super::syntax::{ActionNode, ElementNode, Node, PathNode, Section, ValueNode};
use super::update::{Action, Update, UpdateOperand, UpdateValue};
use crate::codec::ValueRef;
use crate::error::ServiceError;
use crate::limits::{IN_OPERANDS_MAX, NESTING_DEPTH_MAX};
use crate::value::{AttributeValue, ValueType};

/// Resolves names and values and checks operands.
pub(super) struct Checker<'c, 'a> {
    pub(super) compiler: &'c mut Compiler<'a>,
    pub(super) kind: ExpressionKind,
    /// The operators and functions so far.
    pub(super) operators: usize,
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
        self.compiler.used_names.push(word);
        Ok(name.clone())
    }

    fn value(&mut self, word: &'a str) -> Result<&'a AttributeValue, ServiceError> {
        let Some(Ok(value)) = self.compiler.values.and_then(|values| values.get(word)) else {
            return Err(self.kind.invalid(format_args!(
                "An expression attribute value used in expression is not defined; \
                 attribute value: {word}"
            )));
        };
        self.compiler.used_values.push(word);
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
    pub(super) fn paths_apart<'n>(
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

    pub(super) fn condition(&mut self, node: Node<'a>) -> Result<Condition, ServiceError> {
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
            ValueRef::S(text) => ValueType::from_name(text).ok_or_else(|| {
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
    pub(super) fn update(&mut self, nodes: Vec<ActionNode<'a>>) -> Result<Update, ServiceError> {
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
        let section = section.name();
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
fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::S(text) => format!("AttributeValue: {{S:{text}}}"),
        ValueRef::N(number) => format!("AttributeValue: {{N:{number}}}"),
        ValueRef::B(bytes) => {
            format!(
                "AttributeValue: {{B:java.nio.HeapByteBuffer[pos=0 lim={0} cap={0}]}}",
                bytes.len()
            )
        }
        other => format!("AttributeValue: {{{}}}", other.value_type().name()),
    }
}
