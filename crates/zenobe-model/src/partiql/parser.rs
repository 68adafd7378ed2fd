//! Expressions, by precedence. Statements are in [`super::statements`].
//!
//! What the grammar allows and the service does not support is noted ([`Parser::note`]) and refused
//! only once the rest of the statement has turned out to be well formed.

use super::ast::{Expr, ExprKind, Step};
use super::lexer::{self, Span, Token, TokenKind};
use super::{DEPTH_MAX, Refusal, keywords};

/// How tightly operators bind.
const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;
const EQUALITY: u8 = 4;
const COMPARISON: u8 = 5;
const SUM: u8 = 6;
const PRODUCT: u8 = 7;

/// Reads the tokens of one statement.
pub(super) struct Parser {
    tokens: Vec<Token>,
    position: usize,
    /// How many calls of [`Parser::expression`] are open.
    open: usize,
    /// How many `?` there were.
    parameters: usize,
    /// The first thing that is not supported.
    unsupported: Option<String>,
}

/// Reads a whole text: an expression, which may be a statement.
pub(super) fn parse(text: &str) -> Result<Expr, Refusal> {
    let tokens = lexer::tokens(text)?;
    let mut parser = Parser { tokens, position: 0, open: 0, parameters: 0, unsupported: None };
    let expr = parser.expression(0)?;
    if parser.take_symbol(";") && *parser.kind() != TokenKind::End {
        return Err(Refusal::malformed(
            "Unexpected token after semicolon. (Only one query is allowed.)",
        ));
    }
    if *parser.kind() != TokenKind::End {
        return Err(Refusal::malformed("Unexpected token after expression"));
    }
    match parser.unsupported {
        Some(message) => Err(Refusal::Unsupported(message)),
        None => Ok(expr),
    }
}

impl Parser {
    fn token(&self) -> Option<&Token> {
        // The last token is the end, which is never passed.
        self.tokens.get(self.position).or_else(|| self.tokens.last())
    }

    pub(super) fn kind(&self) -> &TokenKind {
        self.token().map_or(&TokenKind::End, |token| &token.kind)
    }

    pub(super) fn span(&self) -> Span {
        self.token().map_or(Span::default(), |token| token.span)
    }

    fn kind_after(&self) -> &TokenKind {
        self.tokens.get(self.position + 1).map_or(&TokenKind::End, |token| &token.kind)
    }

    pub(super) fn advance(&mut self) {
        if self.position + 1 < self.tokens.len() {
            self.position += 1;
        }
    }

    pub(super) fn symbol(&self) -> Option<&'static str> {
        match self.kind() {
            TokenKind::Symbol(symbol) => Some(symbol),
            _ => None,
        }
    }

    pub(super) fn keyword(&self) -> Option<&'static str> {
        match self.kind() {
            TokenKind::Keyword(keyword) => Some(keyword),
            _ => None,
        }
    }

    pub(super) fn keyword_after(&self) -> Option<&'static str> {
        match self.kind_after() {
            TokenKind::Keyword(keyword) => Some(keyword),
            _ => None,
        }
    }

    pub(super) fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = self.symbol() == Some(symbol);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.keyword() == Some(keyword);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect_symbol(&mut self, symbol: &str, name: &str) -> Result<(), Refusal> {
        if self.take_symbol(symbol) {
            return Ok(());
        }
        Err(Refusal::malformed(format!("Expected {name}")))
    }

    pub(super) fn expect_keyword(&mut self, keyword: &str) -> Result<(), Refusal> {
        if self.take_keyword(keyword) {
            return Ok(());
        }
        Err(Refusal::malformed(format!("Expected keyword {keyword}")))
    }

    /// Notes something that is not supported; the first note counts.
    pub(super) fn note(&mut self, message: impl Into<String>) {
        if self.unsupported.is_none() {
            self.unsupported = Some(message.into());
        }
    }

    /// A node above `children`.
    fn node(kind: ExprKind, span: Span, depth_below: usize) -> Result<Expr, Refusal> {
        if depth_below >= DEPTH_MAX {
            return Err(too_deep());
        }
        Ok(Expr { kind, span, depth: depth_below + 1 })
    }

    /// An expression of operators that bind more tightly than `least`.
    pub(super) fn expression(&mut self, least: u8) -> Result<Expr, Refusal> {
        if self.open >= DEPTH_MAX {
            return Err(too_deep());
        }
        self.open += 1;
        let mut expr = self.prefixed()?;
        while let Some((precedence, operator)) = self.infix() {
            if precedence <= least {
                break;
            }
            let span = self.span();
            self.advance();
            expr = self.infix_tail(expr, operator, precedence, span)?;
        }
        self.open -= 1;
        Ok(expr)
    }

    /// The operator that follows, and how tightly it binds. `not` stands for what follows it.
    fn infix(&self) -> Option<(u8, &'static str)> {
        if let Some(symbol) = self.symbol() {
            let precedence = match symbol {
                "=" | "<>" | "!=" => EQUALITY,
                "<" | "<=" | ">" | ">=" => COMPARISON,
                "+" | "-" | "||" => SUM,
                "*" | "/" | "%" => PRODUCT,
                _ => return None,
            };
            return Some((precedence, symbol));
        }
        let keyword = self.keyword()?;
        let meant = if keyword == "not" { self.keyword_after()? } else { keyword };
        let precedence = match meant {
            "or" if keyword != "not" => OR,
            "and" if keyword != "not" => AND,
            "is" if keyword != "not" => EQUALITY,
            "in" => EQUALITY,
            "between" | "like" => COMPARISON,
            _ => return None,
        };
        Some((precedence, keyword))
    }

    /// What follows an operator that was taken.
    fn infix_tail(
        &mut self,
        left: Expr,
        operator: &'static str,
        precedence: u8,
        span: Span,
    ) -> Result<Expr, Refusal> {
        match operator {
            "and" | "or" => self.junction(left, operator, precedence, span),
            "is" => self.is_tail(left, span),
            "not" => {
                let keyword = self.keyword().unwrap_or_default();
                self.advance();
                let positive = self.infix_tail(left, keyword, precedence, span)?;
                let depth = positive.depth;
                Self::node(ExprKind::Not(Box::new(positive)), span, depth)
            }
            "in" => {
                let right = self.in_operand(precedence)?;
                let depth = left.depth.max(right.depth);
                Self::node(ExprKind::In(Box::new(left), Box::new(right)), span, depth)
            }
            "between" => {
                let low = self.expression(precedence)?;
                self.expect_keyword("and")?;
                let high = self.expression(precedence)?;
                let depth = left.depth.max(low.depth).max(high.depth);
                Self::node(ExprKind::Between(Box::new([left, low, high])), span, depth)
            }
            _ => {
                let right = self.right_hand_side(precedence)?;
                if operator == "like" && self.take_keyword("escape") {
                    self.expression(precedence)?;
                }
                let operator = if operator == "!=" { "<>" } else { operator };
                let depth = left.depth.max(right.depth);
                let kind = ExprKind::Binary(operator, Box::new(left), Box::new(right));
                Self::node(kind, span, depth)
            }
        }
    }

    fn right_hand_side(&mut self, precedence: u8) -> Result<Expr, Refusal> {
        if *self.kind() == TokenKind::End {
            return Err(Refusal::malformed("Missing right-hand side expression of infix operator"));
        }
        self.expression(precedence)
    }

    /// What follows IN. In parentheses even a single value is a list of one.
    fn in_operand(&mut self, precedence: u8) -> Result<Expr, Refusal> {
        let span = self.span();
        if self.symbol() != Some("(") || self.keyword_after() == Some("select") {
            return self.expression(precedence);
        }
        self.advance();
        let (all, depth) = self.list(")", "RIGHT_PAREN")?;
        if all.is_empty() {
            return Err(Refusal::malformed("Expression group cannot be empty"));
        }
        Self::node(ExprKind::List(all), span, depth)
    }

    /// Conditions in a row are one node, so that a long statement is not a deep one.
    fn junction(
        &mut self,
        left: Expr,
        operator: &'static str,
        precedence: u8,
        span: Span,
    ) -> Result<Expr, Refusal> {
        let mut depth = left.depth;
        let mut all = vec![left];
        loop {
            let next = self.right_hand_side(precedence)?;
            depth = depth.max(next.depth);
            all.push(next);
            if !self.take_keyword(operator) {
                break;
            }
        }
        let kind = if operator == "and" { ExprKind::And(all) } else { ExprKind::Or(all) };
        Self::node(kind, span, depth)
    }

    fn is_tail(&mut self, left: Expr, span: Span) -> Result<Expr, Refusal> {
        let negated = self.take_keyword("not");
        let Some(keyword) = self.type_name() else {
            return Err(Refusal::malformed("Expected type name"));
        };
        self.advance();
        match keyword {
            "double" => self.take_keyword("precision"),
            "character" => self.take_keyword("varying"),
            _ => false,
        };
        let depth = left.depth;
        let test = Self::node(ExprKind::Is(Box::new(left), keyword), span, depth)?;
        if negated {
            let depth = test.depth;
            return Self::node(ExprKind::Not(Box::new(test)), span, depth);
        }
        Ok(test)
    }

    /// The type that comes next, if one does.
    fn type_name(&self) -> Option<&'static str> {
        match self.kind() {
            TokenKind::Identifier(name) if name.eq_ignore_ascii_case("int4") => Some("int4"),
            TokenKind::Identifier(name) if name.eq_ignore_ascii_case("int8") => Some("int8"),
            _ => self.keyword().filter(|keyword| is_type(keyword)),
        }
    }

    /// An operand with what stands before it.
    fn prefixed(&mut self) -> Result<Expr, Refusal> {
        let span = self.span();
        let mut negations = 0_usize;
        while self.take_keyword("not") {
            negations += 1;
        }
        if negations > 0 {
            let inner = self.expression(NOT)?;
            let depth = inner.depth;
            let negated = Self::node(ExprKind::Not(Box::new(inner)), span, depth)?;
            // An even number of negations is two: the condition stays one.
            if negations % 2 == 1 {
                return Ok(negated);
            }
            let depth = negated.depth;
            return Self::node(ExprKind::Not(Box::new(negated)), span, depth);
        }
        self.signed()
    }

    /// Signs are part of a number that follows them.
    fn signed(&mut self) -> Result<Expr, Refusal> {
        let mut negative = false;
        let mut outermost = None;
        while let Some(sign @ ("+" | "-")) = self.symbol() {
            outermost = outermost.or(Some((sign, self.span())));
            negative ^= sign == "-";
            self.advance();
        }
        let mut expr = self.path_term()?;
        let Some((sign, span)) = outermost else { return Ok(expr) };
        if let ExprKind::Number(text) = &mut expr.kind {
            if negative {
                text.insert(0, '-');
            }
            return Ok(expr);
        }
        let depth = expr.depth;
        Self::node(ExprKind::Sign(sign), span, depth)
    }

    fn path_term(&mut self) -> Result<Expr, Refusal> {
        let root = self.term()?;
        self.steps(root, false)
    }

    /// The target of a write: a name with steps of names and literals.
    pub(super) fn simple_path(&mut self) -> Result<Expr, Refusal> {
        let TokenKind::Identifier(name) = self.kind() else {
            return Err(Refusal::malformed("Expected identifier for simple path"));
        };
        let root = Expr::leaf(ExprKind::Identifier(name.clone()), self.span());
        self.advance();
        self.steps(root, true)
    }

    fn steps(&mut self, root: Expr, simple: bool) -> Result<Expr, Refusal> {
        let mut steps = Vec::new();
        let mut depth = root.depth;
        loop {
            if self.take_symbol(".") {
                steps.push(self.dot_step(simple)?);
            } else if self.take_symbol("[") {
                let span = self.span();
                if !simple && self.take_symbol("*") {
                    steps.push(Step::Wildcard(span));
                } else {
                    let index = self.expression(0)?;
                    if simple && !is_atom(&index) {
                        return Err(Refusal::malformed("Invalid path component for simple path"));
                    }
                    depth = depth.max(index.depth);
                    steps.push(Step::Index(index));
                }
                self.expect_symbol("]", "RIGHT_BRACKET")?;
            } else {
                break;
            }
        }
        if steps.is_empty() {
            return Ok(root);
        }
        let span = root.span;
        Self::node(ExprKind::Path(Box::new(root), steps), span, depth)
    }

    fn dot_step(&mut self, simple: bool) -> Result<Step, Refusal> {
        let span = self.span();
        let step = match self.kind() {
            TokenKind::Identifier(name) => Step::Name(name.clone()),
            TokenKind::Symbol("*") if simple => {
                return Err(Refusal::malformed("Invalid path dot component for simple path"));
            }
            TokenKind::Symbol("*") => Step::Unpivot(span),
            _ => return Err(Refusal::malformed("Invalid path dot component")),
        };
        self.advance();
        Ok(step)
    }

    fn term(&mut self) -> Result<Expr, Refusal> {
        let span = self.span();
        let kind = match self.kind().clone() {
            TokenKind::Text(text) => ExprKind::Text(text),
            TokenKind::Number(text) => ExprKind::Number(text),
            TokenKind::Ion(name) => ExprKind::Ion(name),
            TokenKind::Parameter => {
                self.parameters += 1;
                ExprKind::Parameter(self.parameters - 1)
            }
            TokenKind::Identifier(name) => {
                self.advance();
                if self.take_symbol("(") {
                    return self.call(&name, span);
                }
                return Ok(Expr::leaf(ExprKind::Identifier(name), span));
            }
            TokenKind::Keyword(keyword) => match keyword {
                "true" => ExprKind::Boolean(true),
                "false" => ExprKind::Boolean(false),
                "null" => ExprKind::Null,
                "missing" => ExprKind::Missing,
                keyword => return self.keyword_term(keyword, span),
            },
            TokenKind::Symbol(symbol) => return self.symbol_term(symbol, span),
            TokenKind::End => return Err(Refusal::malformed("Unexpected term")),
        };
        self.advance();
        Ok(Expr::leaf(kind, span))
    }

    fn keyword_term(&mut self, keyword: &'static str, span: Span) -> Result<Expr, Refusal> {
        if keywords::is_function(keyword) && *self.kind_after() == TokenKind::Symbol("(") {
            self.advance();
            self.advance();
            return self.call(keyword, span);
        }
        match keyword {
            "select" | "insert" | "update" | "delete" | "from" | "set" | "remove" => {
                let statement = self.statement(keyword)?;
                let kind = ExprKind::Statement(Box::new(statement));
                Self::node(kind, span, 1)
            }
            // These have a grammar of their own, of which nothing is supported.
            "case" => {
                Err(Refusal::unsupported(format!("Unsupported token in expression: CASE{span}")))
            }
            "cast" => {
                self.advance();
                let span = self.span();
                Err(Refusal::unsupported(format!("Unsupported token in expression: cast{span}")))
            }
            "pivot" => Err(Refusal::unsupported(
                "Select projection doesn't support value or pivot keywords",
            )),
            "exec" => Err(Refusal::unsupported("Unsupported operation: Exec")),
            "create" | "drop" => Err(self.definition(keyword)),
            "and" | "or" | "is" | "like" | "in" | "between" | "union" | "intersect" | "except" => {
                Err(Refusal::malformed("Unexpected operator"))
            }
            _ => Err(Refusal::malformed("Unexpected keyword")),
        }
    }

    /// Tables and indexes are not defined here.
    fn definition(&self, keyword: &str) -> Refusal {
        match (keyword, self.keyword_after()) {
            ("create", Some("table")) => Refusal::unsupported("Unsupported operation: CreateTable"),
            ("create", Some("index")) => Refusal::unsupported("Unsupported operation: CreateIndex"),
            ("drop", Some("table")) => Refusal::unsupported("Unsupported operation: DropTable"),
            ("drop", Some("index")) => Refusal::unsupported("Unsupported operation: DropIndex"),
            ("create", _) => Refusal::malformed("Unexpected token following CREATE"),
            _ => Refusal::malformed("Unexpected token following DROP"),
        }
    }

    fn symbol_term(&mut self, symbol: &'static str, span: Span) -> Result<Expr, Refusal> {
        self.advance();
        match symbol {
            "(" => {
                if self.symbol() == Some(")") {
                    return Err(Refusal::malformed("Expression group cannot be empty"));
                }
                let (mut all, depth) = self.list(")", "RIGHT_PAREN")?;
                match all.pop() {
                    Some(only) if all.is_empty() => Ok(only),
                    last => {
                        all.extend(last);
                        Self::node(ExprKind::List(all), span, depth)
                    }
                }
            }
            "[" => {
                let (all, depth) = self.list("]", "RIGHT_BRACKET")?;
                Self::node(ExprKind::List(all), span, depth)
            }
            "<<" => {
                let (all, depth) = self.list(">>", "RIGHT_DOUBLE_ANGLE_BRACKET")?;
                Self::node(ExprKind::Bag(all), span, depth)
            }
            "{" => self.tuple(span),
            "@" => {
                let TokenKind::Identifier(name) = self.kind() else {
                    return Err(Refusal::malformed("Identifier must follow @-operator"));
                };
                let expr = Expr::leaf(ExprKind::Identifier(name.clone()), self.span());
                self.advance();
                Ok(expr)
            }
            "=" | "<" | "<=" | ">" | ">=" | "<>" | "!=" | "||" | "/" | "%" | "^" => {
                Err(Refusal::malformed("Unexpected operator"))
            }
            _ => Err(Refusal::malformed("Unexpected term")),
        }
    }

    /// Expressions up to a closing token, and how deep the deepest is.
    fn list(&mut self, close: &str, name: &str) -> Result<(Vec<Expr>, usize), Refusal> {
        let mut all = Vec::new();
        let mut depth = 0;
        if self.take_symbol(close) {
            return Ok((all, depth));
        }
        loop {
            let expr = self.expression(0)?;
            depth = depth.max(expr.depth);
            all.push(expr);
            if !self.take_symbol(",") {
                self.expect_symbol(close, name)?;
                return Ok((all, depth));
            }
        }
    }

    fn tuple(&mut self, span: Span) -> Result<Expr, Refusal> {
        let mut all = Vec::new();
        let mut depth = 0;
        if !self.take_symbol("}") {
            loop {
                let key = self.expression(0)?;
                self.expect_symbol(":", "COLON")?;
                let value = self.expression(0)?;
                depth = depth.max(key.depth).max(value.depth);
                all.push((key, value));
                if !self.take_symbol(",") {
                    break;
                }
            }
            self.expect_symbol("}", "RIGHT_CURLY")?;
        }
        Self::node(ExprKind::Tuple(all), span, depth)
    }

    /// The arguments of a function, whose parenthesis was taken.
    fn call(&mut self, name: &str, span: Span) -> Result<Expr, Refusal> {
        let name = name.to_ascii_lowercase();
        if self.symbol() == Some("*") {
            if name != "count" {
                return Err(Refusal::malformed(format!("{name}(*) is not allowed")));
            }
            self.advance();
            self.expect_symbol(")", "RIGHT_PAREN")?;
            return Ok(Expr::leaf(ExprKind::Call(name, Vec::new()), span));
        }
        if keywords::is_aggregate(&name) && !self.take_keyword("distinct") {
            self.take_keyword("all");
        }
        let (arguments, depth) = self.list(")", "RIGHT_PAREN")?;
        if keywords::is_aggregate(&name) && arguments.len() != 1 {
            return Err(Refusal::malformed("Aggregate functions are always unary"));
        }
        Self::node(ExprKind::Call(name, arguments), span, depth)
    }
}

/// A tree that would be too deep is refused like one that cannot be read.
fn too_deep() -> Refusal {
    Refusal::malformed("")
}

const fn is_atom(expr: &Expr) -> bool {
    matches!(
        expr.kind,
        ExprKind::Text(_)
            | ExprKind::Number(_)
            | ExprKind::Boolean(_)
            | ExprKind::Null
            | ExprKind::Missing
            | ExprKind::Identifier(_)
    )
}

/// Whether a keyword names a type.
fn is_type(keyword: &str) -> bool {
    const TYPES: [&str; 27] = [
        "missing",
        "null",
        "bool",
        "boolean",
        "smallint",
        "integer",
        "int",
        "float",
        "real",
        "decimal",
        "dec",
        "numeric",
        "double",
        "timestamp",
        "character",
        "char",
        "varchar",
        "string",
        "symbol",
        "clob",
        "blob",
        "struct",
        "tuple",
        "list",
        "sexp",
        "bag",
        "date",
    ];
    TYPES.contains(&keyword)
}
