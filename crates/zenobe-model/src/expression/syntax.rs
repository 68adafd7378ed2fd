//! From text to a syntax tree of borrowed words, or to DynamoDB's syntax error.
//!
//! The parser knows nothing of names, values and types. It never recurses: what is open is on stacks
//! of its own, so that only the length of a text bounds how deep things nest in it. A syntax
//! error names the first token that cannot follow what came before, with its two neighbours;
//! redundant parentheses are an error where they close, like any other.

use super::condition::Comparison;
use super::lexer::{Lexer, Token, TokenKind};

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SyntaxError {
    /// A token is where none of its kind can be.
    Token {
        /// The token, or `<EOF>`.
        token: String,
        /// The text from the token before to the token after.
        near: String,
    },
    /// Parentheses hold nothing but another pair of parentheses.
    RedundantParentheses,
}

/// A condition or an operand of one.
#[derive(Debug)]
pub(super) enum Node<'a> {
    Path(PathNode<'a>),
    /// With its colon.
    Value(&'a str),
    Function(&'a str, Arguments<'a>),
    Compare(Comparison, Box<[Node<'a>; 2]>),
    Between(Box<[Node<'a>; 3]>),
    /// What is tested, then the candidates.
    In(Vec<Node<'a>>),
    And(Vec<Node<'a>>),
    Or(Vec<Node<'a>>),
    /// So many times.
    Not(usize, Box<Node<'a>>),
}

/// The arguments of a function. They are dropped without recursion, however deep they nest.
#[derive(Debug, Default)]
pub(super) struct Arguments<'a>(Vec<Node<'a>>);

impl<'a> Arguments<'a> {
    pub(super) fn as_slice(&self) -> &[Node<'a>] {
        &self.0
    }

    pub(super) fn take(mut self) -> Vec<Node<'a>> {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Arguments<'_> {
    fn drop(&mut self) {
        let mut left = std::mem::take(&mut self.0);
        while let Some(node) = left.pop() {
            if let Node::Function(_, mut arguments) = node {
                left.append(&mut arguments.0);
            }
        }
    }
}

impl Node<'_> {
    /// Whether a comparison may follow.
    const fn is_operand(&self) -> bool {
        matches!(self, Self::Path(_) | Self::Value(_) | Self::Function(..))
    }
}

/// A document path as written: `#name` with its `#`.
#[derive(Debug)]
pub(super) struct PathNode<'a> {
    pub(super) root: &'a str,
    pub(super) elements: Vec<ElementNode<'a>>,
}

/// One step of a document path as written.
#[derive(Clone, Copy, Debug)]
pub(super) enum ElementNode<'a> {
    Name(&'a str),
    /// Decimal digits.
    Index(&'a str),
}

/// The sections of an update expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Set,
    Remove,
    Add,
    Delete,
}

impl Section {
    /// The keyword.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Remove => "REMOVE",
            Self::Add => "ADD",
            Self::Delete => "DELETE",
        }
    }
}

/// One action of an update expression.
#[derive(Debug)]
pub(super) struct ActionNode<'a> {
    pub(super) section: Section,
    pub(super) path: PathNode<'a>,
    /// None for `REMOVE`.
    pub(super) value: Option<ValueNode<'a>>,
}

/// The right side of an action.
#[derive(Debug)]
pub(super) enum ValueNode<'a> {
    Operand(Node<'a>),
    Plus(Node<'a>, Node<'a>),
    Minus(Node<'a>, Node<'a>),
}

/// An update expression.
#[derive(Debug, Default)]
pub(super) struct UpdateNode<'a> {
    pub(super) actions: Vec<ActionNode<'a>>,
    /// The first section that comes a second time.
    pub(super) repeated: Option<Section>,
}

/// What a parser returns beside the tree.
#[derive(Debug)]
pub(super) struct Parsed<T> {
    pub(super) tree: T,
    /// How deep parentheses nest in a condition.
    pub(super) depth: usize,
}

/// Parses a condition, a filter or a key condition.
pub(super) fn condition(text: &str) -> Result<Parsed<Node<'_>>, SyntaxError> {
    let mut parser = Parser::new(text);
    let node = parser.condition()?;
    parser.end(node)
}

/// Parses a projection.
pub(super) fn projection(text: &str) -> Result<Parsed<Vec<PathNode<'_>>>, SyntaxError> {
    let mut parser = Parser::new(text);
    let mut paths = vec![parser.path()?];
    while parser.accept(TokenKind::Comma) {
        paths.push(parser.path()?);
    }
    parser.end(paths)
}

/// Parses an update.
pub(super) fn update(text: &str) -> Result<Parsed<UpdateNode<'_>>, SyntaxError> {
    let mut parser = Parser::new(text);
    let mut update = UpdateNode::default();
    let mut seen = [false; 4];
    loop {
        let section = match parser.current.kind {
            TokenKind::Set => Section::Set,
            TokenKind::Remove => Section::Remove,
            TokenKind::Add => Section::Add,
            TokenKind::Delete => Section::Delete,
            TokenKind::End if !update.actions.is_empty() => return parser.end(update),
            _ => return Err(parser.unexpected()),
        };
        parser.advance();
        if let Some(seen) = seen.get_mut(section as usize)
            && std::mem::replace(seen, true)
            && update.repeated.is_none()
        {
            update.repeated = Some(section);
        }
        update.actions.push(parser.action(section)?);
        while parser.accept(TokenKind::Comma) {
            update.actions.push(parser.action(section)?);
        }
    }
}

/// A node, and whether the text of it is nothing but a pair of parentheses.
struct Item<'a> {
    node: Node<'a>,
    parenthesized: bool,
}

impl<'a> Item<'a> {
    const fn bare(node: Node<'a>) -> Self {
        Self { node, parenthesized: false }
    }
}

/// A function whose arguments are being read.
struct Call<'a> {
    function: &'a str,
    arguments: Arguments<'a>,
    /// How many parentheses stand around it.
    parentheses: usize,
}

struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    previous: Option<Token>,
    current: Token,
    /// The deepest parenthesis of a condition so far.
    depth: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        let mut lexer = Lexer::new(text);
        let current = lexer.next();
        Self { text, lexer, previous: None, current, depth: 0 }
    }

    fn advance(&mut self) -> Token {
        let token = self.current;
        self.previous = Some(token);
        self.current = self.lexer.next();
        token
    }

    fn accept(&mut self, kind: TokenKind) -> bool {
        let accepted = self.current.kind == kind;
        if accepted {
            self.advance();
        }
        accepted
    }

    fn expect(&mut self, kind: TokenKind) -> Result<Token, SyntaxError> {
        if self.current.kind == kind { Ok(self.advance()) } else { Err(self.unexpected()) }
    }

    fn take_text(&mut self) -> &'a str {
        let token = self.advance();
        self.lexer.text_of(token)
    }

    /// The error at the current token. Blanks at the ends of the text belong to what is near.
    fn unexpected(&self) -> SyntaxError {
        let start = self.previous.map_or(0, |token| token.start);
        let end = match self.current.kind {
            TokenKind::End => self.text.len(),
            _ => match self.lexer.clone().next() {
                Token { kind: TokenKind::End, .. } => self.text.len(),
                next => next.end,
            },
        };
        let token = match self.current.kind {
            TokenKind::End => "<EOF>",
            _ => self.lexer.text_of(self.current),
        };
        let near = self.text.get(start..end).unwrap_or_default();
        SyntaxError::Token { token: token.to_owned(), near: near.to_owned() }
    }

    fn end<T>(&self, tree: T) -> Result<Parsed<T>, SyntaxError> {
        if self.current.kind == TokenKind::End {
            Ok(Parsed { tree, depth: self.depth })
        } else {
            Err(self.unexpected())
        }
    }

    /// A whole condition. Parentheses are kept on a stack of our own, because a text may hold
    /// thousands of them.
    fn condition(&mut self) -> Result<Node<'a>, SyntaxError> {
        let mut outer: Vec<Level<'a>> = Vec::new();
        let mut level = Level::default();
        loop {
            while self.accept(TokenKind::Not) {
                level.negations += 1;
            }
            if self.accept(TokenKind::OpenParenthesis) {
                outer.push(std::mem::take(&mut level));
                continue;
            }
            let operand = Item::bare(self.bare_operand()?);
            let mut item = self.after_operand(operand, !outer.is_empty() && level.is_empty())?;
            // What ends here may end any number of parentheses, too.
            loop {
                if let Some(next) = level.add(item, self.current.kind) {
                    item = next;
                } else {
                    self.advance();
                    break;
                }
                let Some(parent) = outer.pop() else { return Ok(item.node) };
                self.close(item.parenthesized)?;
                level = parent;
                self.depth = self.depth.max(outer.len());
                item.parenthesized = true;
                if item.node.is_operand() {
                    item = self.after_operand(item, !outer.is_empty() && level.is_empty())?;
                }
            }
        }
    }

    /// The comparison that an operand begins.
    fn after_operand(
        &mut self,
        left: Item<'a>,
        operand_allowed: bool,
    ) -> Result<Item<'a>, SyntaxError> {
        match self.current.kind {
            TokenKind::Between => {
                self.advance();
                let low = self.operand()?;
                self.expect(TokenKind::And)?;
                let high = self.operand()?;
                Ok(Item::bare(Node::Between(Box::new([left.node, low, high]))))
            }
            TokenKind::In => {
                self.advance();
                self.expect(TokenKind::OpenParenthesis)?;
                let mut operands = vec![left.node];
                self.arguments(&mut operands)?;
                Ok(Item::bare(Node::In(operands)))
            }
            kind => match comparison_operator(kind) {
                Some(operator) => {
                    self.advance();
                    let right = self.operand()?;
                    Ok(Item::bare(Node::Compare(operator, Box::new([left.node, right]))))
                }
                // A path or value is not a condition, unless a comparison may still follow the
                // parenthesis that closes here; a function may be one.
                None if matches!(left.node, Node::Function(..))
                    || (operand_allowed && kind == TokenKind::CloseParenthesis) =>
                {
                    Ok(left)
                }
                None => Err(self.unexpected()),
            },
        }
    }

    /// Closes a parenthesis. If there was nothing in it but another one, it is redundant.
    fn close(&mut self, inner_parenthesized: bool) -> Result<(), SyntaxError> {
        self.expect(TokenKind::CloseParenthesis)?;
        if inner_parenthesized { Err(SyntaxError::RedundantParentheses) } else { Ok(()) }
    }

    /// An operand, in parentheses or not.
    fn operand(&mut self) -> Result<Node<'a>, SyntaxError> {
        let parentheses = self.open_parentheses();
        let node = self.bare_operand()?;
        self.close_parentheses(parentheses)?;
        Ok(node)
    }

    fn open_parentheses(&mut self) -> usize {
        let mut count = 0;
        while self.accept(TokenKind::OpenParenthesis) {
            count += 1;
        }
        count
    }

    fn close_parentheses(&mut self, count: usize) -> Result<(), SyntaxError> {
        (0..count).try_for_each(|closed| self.close(closed > 0))
    }

    /// An operand without parentheses around it. The functions that are open are kept on a stack
    /// of our own, because a text may hold more than a thousand of them.
    fn bare_operand(&mut self) -> Result<Node<'a>, SyntaxError> {
        let mut calls: Vec<Call<'a>> = Vec::new();
        let mut parentheses = 0;
        loop {
            let mut node = match self.current.kind {
                TokenKind::Value => Node::Value(self.take_text()),
                TokenKind::Name => Node::Path(self.path()?),
                TokenKind::Word => {
                    let word = self.take_text();
                    if self.accept(TokenKind::OpenParenthesis) {
                        calls.push(Call {
                            function: word,
                            arguments: Arguments::default(),
                            parentheses,
                        });
                        parentheses = self.open_parentheses();
                        continue;
                    }
                    Node::Path(self.path_from(word)?)
                }
                _ => return Err(self.unexpected()),
            };
            // What ends here may end any number of functions, too.
            loop {
                self.close_parentheses(parentheses)?;
                let Some(mut call) = calls.pop() else { return Ok(node) };
                call.arguments.0.push(node);
                if self.accept(TokenKind::Comma) {
                    calls.push(call);
                    parentheses = self.open_parentheses();
                    break;
                }
                self.expect(TokenKind::CloseParenthesis)?;
                parentheses = call.parentheses;
                node = Node::Function(call.function, call.arguments);
            }
        }
    }

    /// One or more operands and the closing parenthesis.
    fn arguments(&mut self, arguments: &mut Vec<Node<'a>>) -> Result<(), SyntaxError> {
        arguments.push(self.operand()?);
        while self.accept(TokenKind::Comma) {
            arguments.push(self.operand()?);
        }
        self.expect(TokenKind::CloseParenthesis)?;
        Ok(())
    }

    fn path(&mut self) -> Result<PathNode<'a>, SyntaxError> {
        let root = self.name()?;
        self.path_from(root)
    }

    fn name(&mut self) -> Result<&'a str, SyntaxError> {
        match self.current.kind {
            TokenKind::Word | TokenKind::Name => Ok(self.take_text()),
            _ => Err(self.unexpected()),
        }
    }

    fn path_from(&mut self, root: &'a str) -> Result<PathNode<'a>, SyntaxError> {
        let mut elements = Vec::new();
        loop {
            if self.accept(TokenKind::Dot) {
                elements.push(ElementNode::Name(self.name()?));
            } else if self.accept(TokenKind::OpenBracket) {
                let index = self.expect(TokenKind::Integer)?;
                elements.push(ElementNode::Index(self.lexer.text_of(index)));
                self.expect(TokenKind::CloseBracket)?;
            } else {
                return Ok(PathNode { root, elements });
            }
        }
    }

    fn action(&mut self, section: Section) -> Result<ActionNode<'a>, SyntaxError> {
        let path = self.path()?;
        let value = match section {
            Section::Set => {
                self.expect(TokenKind::Equal)?;
                Some(self.set_value()?)
            }
            Section::Remove => None,
            Section::Add | Section::Delete => {
                let token = self.expect(TokenKind::Value)?;
                Some(ValueNode::Operand(Node::Value(self.lexer.text_of(token))))
            }
        };
        Ok(ActionNode { section, path, value })
    }

    /// The right side of `SET`: an operand or a sum, within parentheses or not.
    fn set_value(&mut self) -> Result<ValueNode<'a>, SyntaxError> {
        let mut open = self.open_parentheses();
        let left = self.bare_operand()?;
        self.close_some(&mut open)?;
        let value = match self.current.kind {
            TokenKind::Plus => {
                self.advance();
                ValueNode::Plus(left, self.operand()?)
            }
            TokenKind::Minus => {
                self.advance();
                ValueNode::Minus(left, self.operand()?)
            }
            _ => ValueNode::Operand(left),
        };
        self.close_some(&mut open)?;
        if open > 0 { Err(self.unexpected()) } else { Ok(value) }
    }

    /// Closes as many of the open parentheses as there are signs for it.
    fn close_some(&mut self, open: &mut usize) -> Result<(), SyntaxError> {
        let before = *open;
        while *open > 0 && self.current.kind == TokenKind::CloseParenthesis {
            self.close(*open < before)?;
            *open -= 1;
        }
        Ok(())
    }
}

/// What stands before the current operand between two parentheses.
#[derive(Default)]
struct Level<'a> {
    /// Conditions that are joined by `OR`.
    alternatives: Vec<Node<'a>>,
    /// Conditions that are joined by `AND`.
    factors: Vec<Node<'a>>,
    /// How often the next condition is negated.
    negations: usize,
}

impl<'a> Level<'a> {
    const fn is_empty(&self) -> bool {
        self.alternatives.is_empty() && self.factors.is_empty() && self.negations == 0
    }

    /// Adds a condition. Returns all of the level if no `AND` and no `OR` follows.
    fn add(&mut self, mut item: Item<'a>, next: TokenKind) -> Option<Item<'a>> {
        match std::mem::take(&mut self.negations) {
            0 => {}
            times => item = Item::bare(Node::Not(times, Box::new(item.node))),
        }
        if next == TokenKind::And {
            self.factors.push(item.node);
            return None;
        }
        if !self.factors.is_empty() {
            self.factors.push(item.node);
            item = Item::bare(Node::And(std::mem::take(&mut self.factors)));
        }
        if next == TokenKind::Or {
            self.alternatives.push(item.node);
            return None;
        }
        if !self.alternatives.is_empty() {
            self.alternatives.push(item.node);
            item = Item::bare(Node::Or(std::mem::take(&mut self.alternatives)));
        }
        Some(item)
    }
}

const fn comparison_operator(kind: TokenKind) -> Option<Comparison> {
    Some(match kind {
        TokenKind::Equal => Comparison::Equal,
        TokenKind::NotEqual => Comparison::NotEqual,
        TokenKind::Less => Comparison::Less,
        TokenKind::LessOrEqual => Comparison::LessOrEqual,
        TokenKind::Greater => Comparison::Greater,
        TokenKind::GreaterOrEqual => Comparison::GreaterOrEqual,
        _ => return None,
    })
}
