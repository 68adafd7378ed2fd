//! Expressions, one a line, and what becomes of them: `tests/golden/expressions/*.txt`.
//!
//! A line at the margin is a command, the indented lines after it are its result. `UPDATE_GOLDEN=1`
//! writes the results anew; read the difference before you keep it.

mod notation;

use std::collections::BTreeMap;
use std::path::PathBuf;

use notation::{item, show, show_item};
use zenobe_model::codec::{EncodedItem, ItemHeader};
use zenobe_model::expression::{
    Action, BoundKeyCondition, Compiler, Condition, ExpressionKind, KeyPredicate, KeySchemaRef,
    Operand, Path, PathElement, SortCondition, Update, UpdateOperand, UpdateValue,
};
use zenobe_model::operation::{ExpressionAttributeNames, ExpressionAttributeValues};
use zenobe_model::partiql::keys::{KeyNames, Reads};
use zenobe_model::partiql::{self, CompiledStatement, Returning, Select};
use zenobe_model::value::ValueType;
use zenobe_model::{AttributeValue, Item, ServiceError};

/// What the commands of a file set and use.
#[derive(Default)]
struct State {
    names: ExpressionAttributeNames,
    values: ExpressionAttributeValues,
    item: Item,
    parameters: Vec<AttributeValue>,
    partition: Vec<(String, ValueType)>,
    sort: Vec<(String, ValueType)>,
}

#[test]
fn conditions() {
    check("conditions.txt");
}

#[test]
fn projections() {
    check("projections.txt");
}

#[test]
fn updates() {
    check("updates.txt");
}

#[test]
fn key_conditions() {
    check("key_conditions.txt");
}

#[test]
fn names_and_values() {
    check("names_and_values.txt");
}

#[test]
fn evaluation() {
    check("evaluation.txt");
}

#[test]
fn application() {
    check("application.txt");
}

#[test]
fn statements() {
    check("partiql_statements.txt");
}

#[test]
fn refused_statements() {
    check("partiql_refused.txt");
}

#[test]
fn reads_of_statements() {
    check("partiql_reads.txt");
}

fn check(file: &str) {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "tests", "golden", "expressions", file].iter().collect();
    let written = std::fs::read_to_string(&path).expect("a golden file");
    let mut state = State::default();
    let mut anew = String::new();
    for line in written.lines().filter(|line| !line.starts_with("    ")) {
        anew.push_str(line);
        anew.push('\n');
        for result in state.run(line) {
            anew.push_str("    ");
            anew.push_str(&result);
            anew.push('\n');
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, anew).expect("the golden file is written");
        return;
    }
    for (number, (written, anew)) in written.lines().zip(anew.lines()).enumerate() {
        assert_eq!(anew, written, "{file}, line {}", number + 1);
    }
    assert_eq!(anew.lines().count(), written.lines().count(), "{file}: lines are missing");
}

impl State {
    fn run(&mut self, line: &str) -> Vec<String> {
        let (command, text) = line.split_once(' ').unwrap_or((line, ""));
        // Backquotes keep blanks at the ends; a count repeats what follows it.
        let text = repeated(text.trim_start_matches('`').trim_end_matches('`'));
        let result = match command {
            "" | "#" => return Vec::new(),
            "names" => {
                self.names = strings(&item(&text));
                return Vec::new();
            }
            "values" => {
                self.values =
                    item(&text).into_iter().map(|(key, value)| (key, Ok(value))).collect();
                return Vec::new();
            }
            "item" => {
                self.item = item(&text);
                return Vec::new();
            }
            "schema" => {
                self.schema(&text);
                return Vec::new();
            }
            "parameters" => {
                self.parameters = item(&text).into_values().collect();
                return Vec::new();
            }
            "statement" => partiql::compile(&text, &self.parameters).map(|s| show_statement(&s)),
            "reads" => return self.reads(&text),
            "select" => return self.select(&text),
            "condition" => self.condition(ExpressionKind::Condition, &text).map(|c| shown(&c)),
            "filter" => self.condition(ExpressionKind::Filter, &text).map(|c| shown(&c)),
            "key" => self.key_condition(&text),
            "projection" => self.compiler().and_then(|mut compiler| {
                let projection = compiler.projection(&text)?;
                let paths: Vec<String> = projection.paths().iter().map(show_path).collect();
                Ok(paths.join(", "))
            }),
            "update" => self.compiler().and_then(|mut compiler| {
                let update = compiler.update(&text)?;
                let actions: Vec<String> = update.actions().iter().map(show_action).collect();
                Ok(actions.join("; "))
            }),
            "uses" => self.compiler().and_then(|mut compiler| {
                compiler.condition(ExpressionKind::Condition, &text)?;
                compiler.finish()?;
                Ok("all used".to_owned())
            }),
            "evaluate" => self
                .condition(ExpressionKind::Condition, &text)
                .and_then(|condition| Ok(condition.evaluate(Some(&self.encoded()))?.to_string())),
            "absent" => self
                .condition(ExpressionKind::Condition, &text)
                .and_then(|condition| Ok(condition.evaluate(None)?.to_string())),
            "project" => self.compiler().and_then(|mut compiler| {
                let projected = compiler.projection(&text)?.project(&self.encoded())?;
                Ok(show_item(&projected.to_item()))
            }),
            "apply" => match self.apply(&text) {
                Ok(lines) => return lines,
                Err(error) => Err(error),
            },
            other => panic!("no such command: {other}"),
        };
        vec![result.unwrap_or_else(|error| format!("! {}", error.message))]
    }

    /// What a condition comes down to, and the item that it names, of the keys of the schema.
    fn reads(&self, text: &str) -> Vec<String> {
        let statement = format!("SELECT * FROM tab WHERE {text}");
        let CompiledStatement::Select(select) =
            partiql::compile(&statement, &self.parameters).expect("a statement")
        else {
            panic!("a SELECT")
        };
        let condition = select.condition.expect("a condition");
        let (partition, _) = self.partition.first().expect("a schema");
        let keys = KeyNames { partition, sort: self.sort.first().map(|(name, _)| name.as_str()) };
        let mut lines = match keys.reads(&condition) {
            Reads::Scan => vec!["scan".to_owned()],
            Reads::TooMany => vec!["too many".to_owned()],
            Reads::Keyed(reads) if reads.is_empty() => vec!["nothing".to_owned()],
            Reads::Keyed(reads) => reads
                .iter()
                .map(|read| {
                    let sort = read.sort.iter().map(|one| {
                        let name = keys.sort.unwrap_or_default().to_owned();
                        show_predicate(&(name, one.clone()))
                    });
                    let filter = read.filter.iter().map(shown);
                    let parts: Vec<String> = sort.chain(filter).collect();
                    format!("{partition} = {}: {}", show(&read.partition), parts.join(", "))
                })
                .collect(),
        };
        let named = keys.item(Some(&condition), true);
        let has = |value: &Option<AttributeValue>| value.as_ref().map_or("-".to_owned(), show);
        if named.partition.is_some() && (keys.sort.is_none() || named.sort.is_some()) {
            let rest: Vec<String> = named.rest.iter().map(shown).collect();
            let conflict = named.conflict.map_or(String::new(), |name| format!("; twice {name}"));
            lines.push(format!(
                "names {} {}{conflict}; {}",
                has(&named.partition),
                has(&named.sort),
                rest.join(", ")
            ));
        }
        lines
    }

    /// What a select list answers of the item.
    fn select(&self, text: &str) -> Vec<String> {
        let statement = format!("SELECT {text} FROM tab");
        let selected = partiql::compile(&statement, &self.parameters).and_then(|statement| {
            let CompiledStatement::Select(select) = statement else { panic!("a SELECT") };
            let columns = select.columns.map_err(|error| *error)?;
            Ok(match columns {
                Some(columns) => columns.project(&self.encoded()).to_item(),
                None => self.item.clone(),
            })
        });
        vec![match selected {
            Ok(item) => show_item(&item),
            Err(error) => format!("! {}", error.message),
        }]
    }

    fn compiler(&self) -> Result<Compiler<'_>, ServiceError> {
        let some = |is_empty: bool| !is_empty;
        Compiler::new(
            some(self.names.is_empty()).then_some(&self.names),
            some(self.values.is_empty()).then_some(&self.values),
        )
    }

    fn encoded(&self) -> EncodedItem {
        EncodedItem::encode(&self.item, ItemHeader::default())
    }

    fn condition(&self, kind: ExpressionKind, text: &str) -> Result<Condition, ServiceError> {
        Compiler::condition(&mut self.compiler()?, kind, text)
    }

    /// The item after the update, and what `UPDATED_OLD` and `UPDATED_NEW` return.
    fn apply(&self, text: &str) -> Result<Vec<String>, ServiceError> {
        let update: Update = Compiler::update(&mut self.compiler()?, text)?;
        let new = update.apply(&self.item)?;
        let old = self.encoded();
        let encoded = update.apply_encoded(&old, ItemHeader::default())?;
        assert_eq!(encoded, EncodedItem::encode(&new, ItemHeader::default()), "{text}");
        let mut lines = vec![show_item(&new)];
        for (name, item) in [("old", &old), ("new", &encoded)] {
            if let Some(selected) = update.select(item)? {
                lines.push(format!("{name} {}", show_item(&selected.to_item())));
            }
        }
        Ok(lines)
    }

    fn schema(&mut self, text: &str) {
        let (partition, sort) = text.split_once('/').unwrap_or((text, ""));
        let attributes = |part: &str| {
            part.split_whitespace()
                .map(|attribute| {
                    let (name, value_type) = attribute.split_once(':').expect("name:type");
                    (name.to_owned(), ValueType::from_name(value_type).expect("a type"))
                })
                .collect()
        };
        self.partition = attributes(partition);
        self.sort = attributes(sort);
    }

    fn key_condition(&self, text: &str) -> Result<String, ServiceError> {
        let mut compiler = self.compiler()?;
        let expression = compiler.key_condition(text)?;
        if self.partition.is_empty() {
            let predicates: Vec<String> =
                expression.predicates().iter().map(show_predicate).collect();
            return Ok(predicates.join(" AND "));
        }
        let schema = KeySchemaRef { partition: &self.partition, sort: &self.sort };
        expression.bind(schema).map(|bound| show_bound(&bound))
    }
}

/// `a‹33›` is 33 times `a`; `(b.)‹3›` is `b.b.b.`.
fn repeated(text: &str) -> String {
    let Some((before, rest)) = text.split_once('‹') else { return text.to_owned() };
    let (count, after) = rest.split_once('›').expect("a count");
    let (head, unit) = match before.strip_suffix('⟩') {
        Some(group) => group.rsplit_once('⟨').expect("a group"),
        None => before.split_at(before.char_indices().last().map_or(0, |(index, _)| index)),
    };
    format!("{head}{}{}", unit.repeat(count.parse().expect("a count")), repeated(after))
}

fn strings(item: &Item) -> BTreeMap<String, String> {
    item.iter()
        .map(|(key, value)| match value {
            AttributeValue::S(text) => (key.clone(), text.clone()),
            other => panic!("not a string: {other:?}"),
        })
        .collect()
}

fn show_path(path: &Path) -> String {
    let mut text = path.root.clone();
    for element in &path.elements {
        match element {
            PathElement::Attribute(name) => text.push_str(&format!(".{name}")),
            PathElement::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

fn shown(condition: &Condition) -> String {
    let joined = |conditions: &[Condition], operator: &str| {
        let parts: Vec<String> = conditions.iter().map(shown).collect();
        format!("({})", parts.join(operator))
    };
    match condition {
        Condition::And(conditions) => joined(conditions, " AND "),
        Condition::Or(conditions) => joined(conditions, " OR "),
        Condition::Not(condition) => format!("NOT {}", shown(condition)),
        Condition::Compare { operator, left, right } => {
            format!("{} {} {}", show_operand(left), operator.symbol(), show_operand(right))
        }
        Condition::Between { operand, low, high } => format!(
            "{} BETWEEN {} AND {}",
            show_operand(operand),
            show_operand(low),
            show_operand(high)
        ),
        Condition::In { operand, candidates } => {
            let candidates: Vec<String> = candidates.iter().map(show_operand).collect();
            format!("{} IN ({})", show_operand(operand), candidates.join(", "))
        }
        Condition::AttributeExists(path) => format!("attribute_exists({})", show_path(path)),
        Condition::AttributeNotExists(path) => {
            format!("attribute_not_exists({})", show_path(path))
        }
        Condition::AttributeType { operand, value_type } => {
            format!("attribute_type({}, {})", show_operand(operand), value_type.name())
        }
        Condition::BeginsWith { operand, prefix } => {
            format!("begins_with({}, {})", show_operand(operand), show_operand(prefix))
        }
        Condition::Contains { operand, element } => {
            format!("contains({}, {})", show_operand(operand), show_operand(element))
        }
    }
}

fn show_operand(operand: &Operand) -> String {
    match operand {
        Operand::Path(path) => show_path(path),
        Operand::Literal(literal) => show(&literal.to_value()),
        Operand::Size(operand) => format!("size({})", show_operand(operand)),
        Operand::Truth(condition) => format!("({})", shown(condition)),
    }
}

fn show_action(action: &Action) -> String {
    let path = show_path(action.path());
    match action {
        Action::Set { value, .. } => format!("SET {path} = {}", show_update_value(value)),
        Action::Remove { .. } => format!("REMOVE {path}"),
        Action::Add { value, .. } => format!("ADD {path} {}", show(&value.to_value())),
        Action::Delete { value, .. } => format!("DELETE {path} {}", show(&value.to_value())),
        other => panic!("not of an expression: {other:?}"),
    }
}

fn show_update_value(value: &UpdateValue) -> String {
    match value {
        UpdateValue::Operand(operand) => show_update_operand(operand),
        UpdateValue::Plus(left, right) => {
            format!("{} + {}", show_update_operand(left), show_update_operand(right))
        }
        UpdateValue::Minus(left, right) => {
            format!("{} - {}", show_update_operand(left), show_update_operand(right))
        }
    }
}

fn show_update_operand(operand: &UpdateOperand) -> String {
    match operand {
        UpdateOperand::Path(path) => show_path(path),
        UpdateOperand::Literal(literal) => show(&literal.to_value()),
        UpdateOperand::IfNotExists(path, otherwise) => {
            format!("if_not_exists({}, {})", show_path(path), show_update_operand(otherwise))
        }
        UpdateOperand::ListAppend(first, second) => {
            format!("list_append({}, {})", show_update_operand(first), show_update_operand(second))
        }
        UpdateOperand::Computed(value) => format!("({})", show_update_value(value)),
    }
}

fn show_statement(statement: &CompiledStatement) -> String {
    let r#where = |condition: &Option<Condition>| {
        condition.as_ref().map_or(String::new(), |condition| format!(" WHERE {}", shown(condition)))
    };
    let returning = |returning: Option<Returning>| {
        returning.map_or(String::new(), |returning| format!(" RETURNING {}", returning.text()))
    };
    match statement {
        CompiledStatement::Select(select) => show_select(select),
        CompiledStatement::Exists(select) => format!("EXISTS {}", show_select(select)),
        CompiledStatement::Insert(insert) => {
            format!("INSERT {} {}", insert.table, show_item(&insert.item))
        }
        CompiledStatement::Update(update) => {
            let actions: Vec<String> = update.update.actions().iter().map(show_action).collect();
            format!(
                "UPDATE {} {}{}{}",
                update.table,
                actions.join("; "),
                r#where(&update.condition),
                returning(update.returning)
            )
        }
        CompiledStatement::Delete(delete) => format!(
            "DELETE {}{}{}",
            delete.table,
            r#where(&delete.condition),
            returning(delete.returning)
        ),
    }
}

fn show_select(select: &Select) -> String {
    let columns = match &select.columns {
        Ok(None) => "*".to_owned(),
        Ok(Some(columns)) => columns.paths().map(show_path).collect::<Vec<_>>().join(", "),
        Err(error) => format!("! {}", error.message),
    };
    let mut text = format!("SELECT {columns} FROM {}", select.table);
    if let Some(index) = &select.index {
        text.push_str(&format!(" INDEX {index}"));
    }
    if let Some(condition) = &select.condition {
        text.push_str(&format!(" WHERE {}", shown(condition)));
    }
    for (name, descending) in &select.order_by {
        text.push_str(&format!(" BY {name} {}", if *descending { "DESC" } else { "ASC" }));
    }
    text
}

fn show_predicate((name, predicate): &(String, KeyPredicate)) -> String {
    match predicate {
        KeyPredicate::Compare(operator, value) => {
            format!("{name} {} {}", operator.symbol(), show(value))
        }
        KeyPredicate::Between(low, high) => {
            format!("{name} BETWEEN {} AND {}", show(low), show(high))
        }
        KeyPredicate::BeginsWith(prefix) => format!("begins_with({name}, {})", show(prefix)),
    }
}

fn show_bound(bound: &BoundKeyCondition) -> String {
    let values = |values: &[AttributeValue]| {
        let values: Vec<String> = values.iter().map(show).collect();
        values.join(", ")
    };
    let mut text = format!("partition [{}]", values(&bound.partition));
    if !bound.sort_equal.is_empty() {
        text.push_str(&format!(" sort [{}]", values(&bound.sort_equal)));
    }
    if let Some(last) = &bound.sort_last {
        text.push_str(&match last {
            SortCondition::Less(value) => format!(" < {}", show(value)),
            SortCondition::LessOrEqual(value) => format!(" <= {}", show(value)),
            SortCondition::Greater(value) => format!(" > {}", show(value)),
            SortCondition::GreaterOrEqual(value) => format!(" >= {}", show(value)),
            SortCondition::Between(low, high) => {
                format!(" between {} and {}", show(low), show(high))
            }
            SortCondition::BeginsWith(prefix) => format!(" begins with {}", show(prefix)),
        });
    }
    text
}
