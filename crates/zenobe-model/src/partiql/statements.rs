//! The grammar of the statements.

use super::Refusal;
use super::ast::{
    ActionNode, DeleteNode, Expr, ExprKind, InsertNode, OrderNode, SelectNode, StatementNode, Step,
    UpdateNode,
};
use super::lexer::TokenKind;
use super::parser::Parser;

const ALIASING: &str = "Aliasing is not supported";
const SINGLE_SOURCE: &str = "Only select from a single table or index is supported.";
const VALUE_OR_PIVOT: &str = "Select projection doesn't support value or pivot keywords";

impl Parser {
    /// A statement, whose first keyword is the next token.
    pub(super) fn statement(&mut self, keyword: &str) -> Result<StatementNode, Refusal> {
        match keyword {
            "select" => self.select().map(StatementNode::Select),
            "insert" => self.insert(),
            "update" => self.update().map(StatementNode::Update),
            "delete" => self.delete().map(StatementNode::Delete),
            "from" => self.from().map(StatementNode::Update),
            // SET and REMOVE without a table.
            _ => {
                self.actions()?;
                Err(Refusal::unsupported("Unsupported operation: DataManipulation"))
            }
        }
    }

    fn select(&mut self) -> Result<SelectNode, Refusal> {
        self.advance();
        if self.take_keyword("distinct") {
            self.note("Unsupported token in expression: DISTINCT");
        } else {
            self.take_keyword("all");
        }
        let columns = self.columns()?;
        if !self.take_keyword("from") {
            return Err(Refusal::malformed("Expected FROM after SELECT list"));
        }
        let source = self.sources()?;
        if self.keyword() == Some("let") {
            return Err(Refusal::unsupported("Unsupported clause: LET"));
        }
        let condition = self.condition()?;
        let order_by = self.order_by()?;
        if self.take_keyword("group") {
            self.take_keyword("partial");
            self.expect_keyword("by")?;
            self.expression(0)?;
            while self.take_symbol(",") {
                self.expression(0)?;
            }
            self.note("Unsupported clause: GROUP BY");
        }
        for (keyword, name) in [("having", "HAVING"), ("limit", "LIMIT")] {
            if self.take_keyword(keyword) {
                let expr = self.expression(0)?;
                self.note(format!("Unsupported clause: {name}{}", expr.span));
            }
        }
        Ok(SelectNode { columns, source, condition, order_by })
    }

    /// What is selected; nothing for `*`.
    fn columns(&mut self) -> Result<Vec<Expr>, Refusal> {
        if self.take_keyword("value") {
            self.note(VALUE_OR_PIVOT);
            return self.expression(0).map(|expr| vec![expr]);
        }
        let mut columns = Vec::new();
        let mut count = 0;
        let mut all = false;
        loop {
            count += 1;
            if self.take_symbol("*") {
                all = true;
            } else {
                let expr = self.expression(0)?;
                self.check_column(&expr)?;
                columns.push(expr);
                self.alias();
            }
            if !self.take_symbol(",") {
                break;
            }
        }
        if all && count > 1 {
            return Err(Refusal::malformed(
                "Other expressions may not be present in the select list when '*' is used without \
                 dot notation.",
            ));
        }
        Ok(columns)
    }

    fn check_column(&mut self, expr: &Expr) -> Result<(), Refusal> {
        let ExprKind::Path(_, steps) = &expr.kind else { return Ok(()) };
        let before_last = steps.len().saturating_sub(1);
        let misused = steps.iter().enumerate().any(|(ordinal, step)| match step {
            Step::Wildcard(_) => true,
            Step::Unpivot(_) => ordinal < before_last,
            Step::Name(_) | Step::Index(_) => false,
        });
        if misused {
            return Err(Refusal::malformed("Invalid use of * in select list"));
        }
        if let Some(Step::Unpivot(_)) = steps.last() {
            if steps.iter().any(|step| matches!(step, Step::Index(_))) {
                return Err(Refusal::malformed(
                    "Cannot use [] and * together in SELECT list expression",
                ));
            }
            self.note("Changing item's hierarchy while reading isn't supported");
        }
        Ok(())
    }

    /// `AS name`, or a name alone.
    fn alias(&mut self) {
        let named = self.take_keyword("as") || matches!(self.kind(), TokenKind::Identifier(_));
        if named {
            if matches!(self.kind(), TokenKind::Identifier(_)) {
                self.advance();
            }
            self.note(ALIASING);
        }
    }

    /// All the names that a source can be given.
    fn aliases(&mut self) {
        self.alias();
        for keyword in ["at", "by"] {
            if self.take_keyword(keyword) {
                if matches!(self.kind(), TokenKind::Identifier(_)) {
                    self.advance();
                }
                self.note(ALIASING);
            }
        }
    }

    /// The sources of a SELECT: the first of them.
    fn sources(&mut self) -> Result<Expr, Refusal> {
        if self.take_keyword("unpivot") {
            self.note(SINGLE_SOURCE);
        }
        let source = self.expression(0)?;
        self.aliases();
        loop {
            let joins = matches!(
                self.keyword(),
                Some("join" | "inner" | "left" | "right" | "full" | "outer" | "cross")
            );
            if joins {
                return Err(Refusal::unsupported(SINGLE_SOURCE));
            }
            if !self.take_symbol(",") {
                return Ok(source);
            }
            self.note(SINGLE_SOURCE);
            self.expression(0)?;
            self.aliases();
        }
    }

    fn condition(&mut self) -> Result<Option<Expr>, Refusal> {
        if self.take_keyword("where") { self.expression(0).map(Some) } else { Ok(None) }
    }

    fn order_by(&mut self) -> Result<Vec<OrderNode>, Refusal> {
        let mut order_by = Vec::new();
        if !self.take_keyword("order") {
            return Ok(order_by);
        }
        self.expect_keyword("by")?;
        loop {
            let expr = self.expression(0)?;
            let descending = self.take_keyword("desc");
            if !descending {
                self.take_keyword("asc");
            }
            order_by.push(OrderNode { expr, descending });
            if !self.take_symbol(",") {
                return Ok(order_by);
            }
        }
    }

    fn insert(&mut self) -> Result<StatementNode, Refusal> {
        self.advance();
        // INSERT alone is no keyword of an expression.
        if !self.take_keyword("into") {
            return Err(Refusal::malformed("Unexpected keyword"));
        }
        let source = self.simple_path()?;
        if !self.take_keyword("value") {
            let value = self.expression(0)?;
            self.note("Unsupported operation: InsertOp");
            return Ok(StatementNode::Insert(InsertNode { source, value }));
        }
        let value = self.expression(0)?;
        if self.keyword() == Some("on") {
            return Err(Refusal::malformed("invalid ON CONFLICT syntax"));
        }
        if self.returning()?.is_some() {
            self.note("RETURNING is not supported in INSERT");
        }
        Ok(StatementNode::Insert(InsertNode { source, value }))
    }

    fn update(&mut self) -> Result<UpdateNode, Refusal> {
        self.advance();
        let source = self.simple_path()?;
        self.aliases();
        let actions = self.actions()?;
        let condition = self.condition()?;
        let returning = self.returning()?;
        Ok(UpdateNode { source, actions, condition, returning })
    }

    /// The other form of an update: `FROM table WHERE … SET …`.
    fn from(&mut self) -> Result<UpdateNode, Refusal> {
        self.advance();
        let source = self.sources()?;
        let condition = self.condition()?;
        let actions = self.actions()?;
        let returning = self.returning()?;
        Ok(UpdateNode { source, actions, condition, returning })
    }

    fn actions(&mut self) -> Result<Vec<ActionNode>, Refusal> {
        let mut actions = Vec::new();
        loop {
            if self.take_keyword("set") {
                loop {
                    let target = self.simple_path()?;
                    if !self.take_symbol("=") {
                        return Err(Refusal::malformed("Expected '=' for SET assignment"));
                    }
                    actions.push(ActionNode::Set(target, self.expression(0)?));
                    if !self.take_symbol(",") {
                        break;
                    }
                }
            } else if self.take_keyword("remove") {
                actions.push(ActionNode::Remove(self.simple_path()?));
            } else {
                break;
            }
        }
        if actions.is_empty() {
            return Err(Refusal::malformed("Expected data manipulation"));
        }
        Ok(actions)
    }

    fn delete(&mut self) -> Result<DeleteNode, Refusal> {
        self.advance();
        if !self.take_keyword("from") {
            return Err(Refusal::malformed("Expected FROM after DELETE"));
        }
        let source = self.simple_path()?;
        self.aliases();
        let condition = self.condition()?;
        let returning = self.returning()?;
        Ok(DeleteNode { source, condition, returning })
    }

    /// `RETURNING` with which item and which of its attributes, as written in error texts.
    fn returning(&mut self) -> Result<Option<&'static str>, Refusal> {
        if !self.take_keyword("returning") {
            return Ok(None);
        }
        let mut first = None;
        loop {
            let returning = match (self.keyword(), self.keyword_after()) {
                (Some("all"), Some("old")) => "ALL OLD",
                (Some("all"), Some("new")) => "ALL NEW",
                (Some("modified"), Some("old")) => "MODIFIED OLD",
                (Some("modified"), Some("new")) => "MODIFIED NEW",
                _ => {
                    return Err(Refusal::malformed(
                        "Expected ( MODIFIED | ALL ) ( NEW | OLD ) in each returning element.",
                    ));
                }
            };
            self.advance();
            self.advance();
            if !self.take_symbol("*") {
                self.expression(0)?;
                self.note(
                    "Expected '*' after ( MODIFIED | ALL ) ( NEW | OLD ) in RETURNING clause",
                );
            }
            if first.replace(returning).is_some() {
                self.note("Invalid syntax with multiple returning elements in RETURNING clause");
            }
            if !self.take_symbol(",") {
                return Ok(first);
            }
        }
    }
}
