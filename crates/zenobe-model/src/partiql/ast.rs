//! The tree of a statement: what the grammar says, before it means anything.

use super::lexer::Span;

/// An expression and the place of the token that stands for it.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub(super) kind: ExprKind,
    pub(super) span: Span,
    /// How deep the tree below is; a leaf has depth 1.
    pub(super) depth: usize,
}

/// What an expression is.
#[derive(Clone, Debug)]
pub(super) enum ExprKind {
    Text(String),
    /// A number as written, sign included.
    Number(String),
    Boolean(bool),
    Null,
    Missing,
    /// An Ion literal; the name of its type.
    Ion(&'static str),
    /// The parameter with this ordinal, from 0.
    Parameter(usize),
    Identifier(String),
    /// A root, which need not be a name, and steps, at least one.
    Path(Box<Expr>, Vec<Step>),
    /// `[…]`, and several expressions in parentheses.
    List(Vec<Expr>),
    /// `<<…>>`
    Bag(Vec<Expr>),
    /// `{…: …}`
    Tuple(Vec<(Expr, Expr)>),
    /// A function; its name is in lower case.
    Call(String, Vec<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    /// A sign before what is no number.
    Sign(&'static str),
    /// Any operator that has no variant of its own.
    Binary(&'static str, Box<Expr>, Box<Expr>),
    /// What is tested, the low and the high bound.
    Between(Box<[Expr; 3]>),
    In(Box<Expr>, Box<Expr>),
    /// `IS` a type, by the keyword that names it.
    Is(Box<Expr>, &'static str),
    Statement(Box<StatementNode>),
}

/// One step of a path.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// `.name`
    Name(String),
    /// `[…]`
    Index(Expr),
    /// `.*`
    Unpivot(Span),
    /// `[*]`
    Wildcard(Span),
}

/// A statement.
#[derive(Clone, Debug)]
pub(super) enum StatementNode {
    Select(SelectNode),
    Insert(InsertNode),
    /// UPDATE, or its other form that begins with FROM.
    Update(UpdateNode),
    Delete(DeleteNode),
}

#[derive(Clone, Debug)]
pub(super) struct SelectNode {
    /// Empty for `*`.
    pub(super) columns: Vec<Expr>,
    pub(super) source: Expr,
    pub(super) condition: Option<Expr>,
    pub(super) order_by: Vec<OrderNode>,
}

#[derive(Clone, Debug)]
pub(super) struct OrderNode {
    pub(super) expr: Expr,
    pub(super) descending: bool,
}

#[derive(Clone, Debug)]
pub(super) struct InsertNode {
    pub(super) source: Expr,
    pub(super) value: Expr,
}

#[derive(Clone, Debug)]
pub(super) struct UpdateNode {
    pub(super) source: Expr,
    pub(super) actions: Vec<ActionNode>,
    pub(super) condition: Option<Expr>,
    pub(super) returning: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub(super) enum ActionNode {
    Set(Expr, Expr),
    Remove(Expr),
}

#[derive(Clone, Debug)]
pub(super) struct DeleteNode {
    pub(super) source: Expr,
    pub(super) condition: Option<Expr>,
    pub(super) returning: Option<&'static str>,
}

impl Expr {
    pub(super) const fn leaf(kind: ExprKind, span: Span) -> Self {
        Self { kind, span, depth: 1 }
    }
}
