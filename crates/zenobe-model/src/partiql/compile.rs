//! From the text of a statement to its compiled form.

use super::Refusal;
use super::ast::{DeleteNode, Expr, ExprKind, InsertNode, SelectNode, StatementNode, UpdateNode};
use super::collection::Parameters;
use super::condition::where_clause;
use super::lexer::{self, TokenKind};
use super::path::{column_name, document_path};
use super::source::{inserted_table, source, written_table};
use super::{parser, update};
use crate::codec::{EncodedItem, ItemBuilder};
use crate::error::ServiceError;
use crate::expression::{Condition, Path, Update, rules};
use crate::operation::Parsed;
use crate::value::{AttributeValue, Item};

/// A statement, checked as far as that needs no table.
#[derive(Clone, Debug)]
pub enum CompiledStatement {
    /// `SELECT`
    Select(Select),
    /// `EXISTS(SELECT …)`: a check within a transaction.
    Exists(Select),
    /// `INSERT`
    Insert(Insert),
    /// `UPDATE`
    Update(UpdateStatement),
    /// `DELETE`
    Delete(Delete),
}

/// `SELECT`
#[derive(Clone, Debug)]
pub struct Select {
    /// The table: a name or an ARN.
    pub table: String,
    /// The index that is read.
    pub index: Option<String>,
    /// What is selected, `None` for everything. The service looks at it after the table.
    pub columns: Parsed<Option<Columns>>,
    /// `WHERE`
    pub condition: Option<Condition>,
    /// `ORDER BY`: attributes, and whether each is descending.
    pub order_by: Vec<(String, bool)>,
}

/// `INSERT`
#[derive(Clone, Debug)]
pub struct Insert {
    /// The table: a name or an ARN.
    pub table: String,
    /// The item; its keys are not yet checked.
    pub item: Item,
}

/// `UPDATE`
#[derive(Clone, Debug)]
pub struct UpdateStatement {
    /// The table: a name or an ARN.
    pub table: String,
    /// `SET` and `REMOVE`.
    pub update: Update,
    /// `WHERE`, key included.
    pub condition: Option<Condition>,
    /// `RETURNING`
    pub returning: Option<Returning>,
}

/// `DELETE`
#[derive(Clone, Debug)]
pub struct Delete {
    /// The table: a name or an ARN.
    pub table: String,
    /// `WHERE`, key included.
    pub condition: Option<Condition>,
    /// `RETURNING`
    pub returning: Option<Returning>,
}

/// Which item a write answers, and which of its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returning {
    /// `ALL OLD *`
    AllOld,
    /// `MODIFIED OLD *`
    ModifiedOld,
    /// `ALL NEW *`
    AllNew,
    /// `MODIFIED NEW *`
    ModifiedNew,
}

impl Returning {
    /// As it is written.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::AllOld => "ALL OLD",
            Self::ModifiedOld => "MODIFIED OLD",
            Self::AllNew => "ALL NEW",
            Self::ModifiedNew => "MODIFIED NEW",
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        [Self::AllOld, Self::ModifiedOld, Self::AllNew, Self::ModifiedNew]
            .into_iter()
            .find(|returning| returning.text() == text)
    }
}

/// What is selected of an item: paths and the names under which they are answered.
#[derive(Clone, Debug)]
pub struct Columns {
    /// In the order of the statement.
    columns: Vec<Column>,
    /// Their places, sorted by the names.
    by_name: Vec<usize>,
}

/// One path of a select list.
#[derive(Clone, Debug)]
pub struct Column {
    /// The name in the answer.
    pub name: String,
    /// What is answered.
    pub path: Path,
}

impl Columns {
    /// The selected paths, in the order of the statement.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.columns.iter().map(|column| &column.path)
    }

    /// What an item answers: the columns that it has.
    #[must_use]
    pub fn project(&self, item: &EncodedItem) -> EncodedItem {
        let mut builder = ItemBuilder::new(item.header());
        for column in self.by_name.iter().filter_map(|place| self.columns.get(*place)) {
            if let Some(value) = column.path.find(item) {
                builder.push_raw(&column.name, value);
            }
        }
        builder.finish()
    }
}

impl CompiledStatement {
    /// The table: a name or an ARN.
    #[must_use]
    pub fn table(&self) -> &str {
        match self {
            Self::Select(select) | Self::Exists(select) => &select.table,
            Self::Insert(insert) => &insert.table,
            Self::Update(update) => &update.table,
            Self::Delete(delete) => &delete.table,
        }
    }
}

/// Reads a statement and checks what needs no table.
///
/// # Errors
/// A `ValidationException`: the first thing, in DynamoDB's order, that is wrong.
pub fn compile(
    text: &str,
    parameters: &[AttributeValue],
) -> Result<CompiledStatement, ServiceError> {
    Ok(compile_refusing(text, Parameters(parameters))?)
}

/// Checks that a text follows the grammar.
///
/// # Errors
/// The `ValidationException` of a statement that is not well formed.
pub fn check_grammar(text: &str) -> Result<(), ServiceError> {
    match parser::parse(text) {
        Err(refusal @ Refusal::Malformed(_)) => Err(refusal.into()),
        Ok(_) | Err(Refusal::Unsupported(_)) => Ok(()),
    }
}

/// Whether a text, as far as its first word says, reads items (`true`) or writes them.
#[must_use]
pub fn reads(text: &str) -> Option<bool> {
    let tokens = lexer::tokens(text).ok()?;
    match &tokens.first()?.kind {
        TokenKind::Keyword("select") => Some(true),
        TokenKind::Keyword("insert" | "update" | "delete" | "from" | "exists") => Some(false),
        _ => None,
    }
}

fn compile_refusing(text: &str, parameters: Parameters<'_>) -> Result<CompiledStatement, Refusal> {
    const NOT_HERE: &str = "EXISTS can only be used in ExecuteTransaction write requests.";
    let expr = parser::parse(text)?;
    let name = match &expr.kind {
        ExprKind::Statement(node) => return statement(node, parameters),
        ExprKind::Call(name, arguments) => {
            if name == "exists"
                && let [argument] = arguments.as_slice()
                && let ExprKind::Statement(node) = &argument.kind
                && let StatementNode::Select(node) = &**node
            {
                return select(node, parameters).map(CompiledStatement::Exists);
            }
            return Err(Refusal::unsupported(NOT_HERE));
        }
        ExprKind::Identifier(_) => "VariableReference",
        ExprKind::Path(..) => "Path",
        ExprKind::Parameter(_) => "Parameter",
        ExprKind::Tuple(_) => "Struct",
        ExprKind::List(_) | ExprKind::Bag(_) => "Seq",
        ExprKind::Missing => "LiteralMissing",
        ExprKind::Text(_)
        | ExprKind::Number(_)
        | ExprKind::Boolean(_)
        | ExprKind::Null
        | ExprKind::Ion(_) => "Literal",
        ExprKind::And(_)
        | ExprKind::Or(_)
        | ExprKind::Not(_)
        | ExprKind::Sign(..)
        | ExprKind::Binary(..)
        | ExprKind::Between(_)
        | ExprKind::In(..) => return Err(Refusal::unsupported(NOT_HERE)),
        ExprKind::Is(..) => "IsType",
    };
    Err(Refusal::unsupported(format!("Unsupported operation: {name}")))
}

fn statement(
    node: &StatementNode,
    parameters: Parameters<'_>,
) -> Result<CompiledStatement, Refusal> {
    match node {
        StatementNode::Select(node) => select(node, parameters).map(CompiledStatement::Select),
        StatementNode::Insert(node) => insert(node, parameters).map(CompiledStatement::Insert),
        StatementNode::Update(node) => update(node, parameters).map(CompiledStatement::Update),
        StatementNode::Delete(node) => delete(node, parameters).map(CompiledStatement::Delete),
    }
}

fn select(node: &SelectNode, parameters: Parameters<'_>) -> Result<Select, Refusal> {
    let source = source(&node.source)?;
    let condition = condition(node.condition.as_ref(), parameters)?;
    let mut order_by = Vec::with_capacity(node.order_by.len());
    for order in &node.order_by {
        let ExprKind::Identifier(name) = &order.expr.kind else {
            return Err(Refusal::unsupported(format!(
                "Argument to ORDER BY must be of type VariableReference. Type: {}",
                order_argument(&order.expr)
            )));
        };
        order_by.push((name.clone(), order.descending));
    }
    Ok(Select {
        table: source.table,
        index: source.index,
        columns: columns(&node.columns).map_err(|refusal| Box::new(refusal.into())),
        condition,
        order_by,
    })
}

/// What ORDER BY has for an argument that is no name.
fn order_argument(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Path(..) => "PATH".to_owned(),
        ExprKind::Call(name, _) => name.clone(),
        ExprKind::Text(text) | ExprKind::Number(text) => text.clone(),
        ExprKind::Binary(symbol, ..) | ExprKind::Sign(symbol) => (*symbol).to_owned(),
        _ => "Expression".to_owned(),
    }
}

fn columns(list: &[Expr]) -> Result<Option<Columns>, Refusal> {
    if list.is_empty() {
        return Ok(None);
    }
    let mut columns: Vec<Column> = Vec::with_capacity(list.len());
    for expr in list {
        let path = document_path(expr)?;
        let name = column_name(&path);
        if columns.iter().any(|other| other.name == name) {
            return Err(Refusal::unsupported(format!(
                "Duplicate identifiers in select clause: {name}"
            )));
        }
        columns.push(Column { name, path });
    }
    for (ordinal, column) in columns.iter().enumerate() {
        for other in columns.iter().take(ordinal) {
            rules::check_apart(&column.path, &other.path)?;
        }
    }
    let mut by_name: Vec<usize> = (0..columns.len()).collect();
    by_name.sort_by_key(|place| columns.get(*place).map(|column| column.name.as_str()));
    Ok(Some(Columns { columns, by_name }))
}

fn condition(
    expr: Option<&Expr>,
    parameters: Parameters<'_>,
) -> Result<Option<Condition>, Refusal> {
    expr.map(|expr| where_clause(expr, parameters)).transpose()
}

fn insert(node: &InsertNode, parameters: Parameters<'_>) -> Result<Insert, Refusal> {
    let table = inserted_table(&node.source)?;
    Ok(Insert { table, item: parameters.item(&node.value)? })
}

fn update(node: &UpdateNode, parameters: Parameters<'_>) -> Result<UpdateStatement, Refusal> {
    let table = written_table(&node.source)?;
    let condition = condition(node.condition.as_ref(), parameters)?;
    let paths = update::paths(&node.actions)?;
    Ok(UpdateStatement {
        table,
        update: update::update(&node.actions, paths, parameters)?,
        condition,
        returning: node.returning.and_then(Returning::from_text),
    })
}

fn delete(node: &DeleteNode, parameters: Parameters<'_>) -> Result<Delete, Refusal> {
    Ok(Delete {
        table: written_table(&node.source)?,
        condition: condition(node.condition.as_ref(), parameters)?,
        returning: node.returning.and_then(Returning::from_text),
    })
}
