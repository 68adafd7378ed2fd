//! The fourth stage of compilation: names and values are resolved, operands are checked for number
//! and type, and the syntax tree becomes the compiled form.
//!
//! Literals carry their type, so that much is known before there is an item; what is not known
//! until then is no error but simply does not hold.

use super::compiler::{Compiler, ExpressionKind};
use super::condition::{Comparison, Condition, Literal, Operand};
use super::path::{Path, PathElement};
use super::rules;
use super::syntax::{ActionNode, Arguments, ElementNode, Node, PathNode, Section, ValueNode};
use super::update::{Action, Update, UpdateOperand, UpdateValue};
use crate::error::ServiceError;
use crate::limits::{EXPRESSION_OPERATORS_MAX, NESTING_DEPTH_MAX};
use crate::value::{AttributeValue, ValueType};

/// Resolves names and values and checks operands.
pub(super) struct Checker<'c, 'a> {
    pub(super) compiler: &'c mut Compiler<'a>,
    pub(super) kind: ExpressionKind,
    /// The operators and functions so far.
    pub(super) operators: usize,
}

/// A function some of whose arguments are resolved.
struct OpenFunction<'a, T> {
    name: &'a str,
    arguments: std::vec::IntoIter<Node<'a>>,
    operands: Vec<T>,
}

impl<'a, T> OpenFunction<'a, T> {
    fn new(name: &'a str, arguments: Arguments<'a>) -> Self {
        Self { name, arguments: arguments.take().into_iter(), operands: Vec::new() }
    }
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
                self.rule(rules::check_apart(&path, other))?;
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
                    self.rule(rules::check_ordered(operator.symbol(), &[&left, &right]))?;
                }
                let others = std::slice::from_ref(&right);
                self.rule(rules::check_distinct(operator.symbol(), &left, others))?;
                Ok(Condition::Compare { operator, left, right })
            }
            Node::Between(operands) => {
                self.operators += 1;
                let [operand, low, high] = *operands;
                let operand = self.operand(operand)?;
                let bounds = [self.operand(low)?, self.operand(high)?];
                let [low, high] = &bounds;
                self.rule(rules::check_between(&operand, low, high, &bounds))?;
                let [low, high] = bounds;
                Ok(Condition::Between { operand, low, high })
            }
            Node::In(nodes) => self.condition_in(nodes),
            Node::Function(name, arguments) => self.condition_function(name, arguments.take()),
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
        self.rule(rules::check_in(&operand, &operands))?;
        Ok(Condition::In { operand, candidates: operands })
    }

    fn operands(&mut self, nodes: Vec<Node<'a>>) -> Result<Vec<Operand>, ServiceError> {
        nodes.into_iter().map(|node| self.operand(node)).collect()
    }

    fn operand(&mut self, node: Node<'a>) -> Result<Operand, ServiceError> {
        match node {
            Node::Path(path) => self.path(&path).map(Operand::Path),
            Node::Value(word) => Ok(Operand::Literal(Literal::from(self.value(word)?))),
            Node::Function(name, arguments) => self.size(name, arguments),
            // The parser has no such operand.
            _ => Err(ServiceError::internal()),
        }
    }

    /// `size`, the one function that may be an operand, and whatever is wrong with those within it.
    fn size(&mut self, name: &'a str, arguments: Arguments<'a>) -> Result<Operand, ServiceError> {
        self.function(name, arguments, Self::operand, |checker, name, operands| {
            let [operand] = checker.exactly(name, operands)?;
            checker.rule(rules::check_sized(name, &operand))?;
            Ok(Operand::Size(Box::new(operand)))
        })
    }

    /// A function whose arguments may be functions. They are resolved from the inside out on a stack of our own, as a
    /// text may hold hundreds: `operand` takes what is no function, `apply` a function whose arguments are resolved.
    fn function<T>(
        &mut self,
        name: &'a str,
        arguments: Arguments<'a>,
        operand: impl Fn(&mut Self, Node<'a>) -> Result<T, ServiceError>,
        apply: impl Fn(&Self, &str, Vec<T>) -> Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        let mut open = vec![OpenFunction::new(name, arguments)];
        self.operators += 1;
        loop {
            let Some(function) = open.last_mut() else { return Err(ServiceError::internal()) };
            match function.arguments.next() {
                Some(Node::Function(name, arguments)) => {
                    self.operators += 1;
                    open.push(OpenFunction::new(name, arguments));
                }
                Some(node) => {
                    let operand = operand(self, node)?;
                    function.operands.push(operand);
                }
                None => {
                    let (name, operands) = (function.name, std::mem::take(&mut function.operands));
                    let applied = apply(self, name, operands)?;
                    open.pop();
                    match open.last_mut() {
                        Some(outer) => outer.operands.push(applied),
                        None => return Ok(applied),
                    }
                }
            }
        }
    }

    /// The arguments of a function, as many as it takes.
    fn arguments<const N: usize>(
        &mut self,
        name: &str,
        nodes: Vec<Node<'a>>,
    ) -> Result<[Operand; N], ServiceError> {
        let operands = self.operands(nodes)?;
        self.exactly(name, operands)
    }

    fn exactly<const N: usize, T>(
        &self,
        name: &str,
        operands: Vec<T>,
    ) -> Result<[T; N], ServiceError> {
        operands.try_into().map_err(|operands: Vec<T>| {
            self.kind.invalid(rules::incorrect_count(name, operands.len()))
        })
    }

    /// Checks that the expression had no more operators and functions than one may have.
    pub(super) fn check_operators(&self) -> Result<(), ServiceError> {
        if self.operators > EXPRESSION_OPERATORS_MAX {
            return Err(self.kind.too_many_operators());
        }
        Ok(())
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
                _ => Err(self.kind.invalid(rules::path_required(name))),
            };
        }
        let [operand, other] = self.arguments(name, nodes)?;
        if name == "begins_with" {
            self.rule(rules::check_prefix(&operand, &other))?;
        }
        self.rule(rules::check_distinct(name, &operand, std::slice::from_ref(&other)))?;
        match name {
            "begins_with" => Ok(Condition::BeginsWith { operand, prefix: other }),
            "contains" => Ok(Condition::Contains { operand, element: other }),
            _ => {
                let value_type = self.rule(rules::type_argument(name, &other))?;
                Ok(Condition::AttributeType { operand, value_type })
            }
        }
    }

    /// Raises what a rule that all dialects share finds wrong.
    fn rule<T>(&self, outcome: Result<T, String>) -> Result<T, ServiceError> {
        outcome.map_err(|message| self.kind.invalid(message))
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
        self.operators += 1;
        let operands = (self.update_operand(left)?, self.update_operand(right)?);
        self.rule(rules::check_literals(operator, ValueType::N, &[&operands.0, &operands.1]))?;
        Ok(operands)
    }

    fn update_operand(&mut self, node: Node<'a>) -> Result<UpdateOperand, ServiceError> {
        match node {
            Node::Path(path) => self.path(&path).map(UpdateOperand::Path),
            Node::Value(word) => Ok(UpdateOperand::Literal(Literal::from(self.value(word)?))),
            Node::Function(name, arguments) => {
                self.function(name, arguments, Self::update_operand, Self::apply_update_function)
            }
            // The parser has no such operand.
            _ => Err(ServiceError::internal()),
        }
    }

    fn apply_update_function(
        &self,
        name: &str,
        operands: Vec<UpdateOperand>,
    ) -> Result<UpdateOperand, ServiceError> {
        let [first, second] = self.exactly(name, operands)?;
        if name == "list_append" {
            self.rule(rules::check_literals(name, ValueType::L, &[&first, &second]))?;
            return Ok(UpdateOperand::ListAppend(Box::new(first), Box::new(second)));
        }
        match first {
            UpdateOperand::Path(path) => {
                self.rule(rules::check_stand_in(name, &path, &second))?;
                Ok(UpdateOperand::IfNotExists(path, Box::new(second)))
            }
            _ => Err(self.kind.invalid(rules::path_required(name))),
        }
    }
}
