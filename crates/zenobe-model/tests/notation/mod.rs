//! Values as the golden files write them: `'text'`, `12.5`, `x'00ff'` (binary), `true`, `null`,
//! `<1, 2>` (a set), `[…]` (a list) and `{name: …}` (a map).

use zenobe_model::{AttributeValue, Item, Number};

/// Reads a map.
pub(crate) fn item(text: &str) -> Item {
    match value(text) {
        AttributeValue::M(map) => map,
        other => panic!("not a map: {other:?}"),
    }
}

/// Reads a value.
pub(crate) fn value(text: &str) -> AttributeValue {
    let mut reader = Reader { rest: text };
    let value = reader.value();
    assert!(reader.rest.trim().is_empty(), "more than a value: {text}");
    value
}

/// Writes a map.
pub(crate) fn show_item(item: &Item) -> String {
    let attributes: Vec<String> =
        item.iter().map(|(name, value)| format!("{name}: {}", show(value))).collect();
    format!("{{{}}}", attributes.join(", "))
}

/// Writes a value.
pub(crate) fn show(value: &AttributeValue) -> String {
    let hex = |bytes: &[u8]| -> String {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("x'{digits}'")
    };
    let list = |parts: Vec<String>| parts.join(", ");
    match value {
        AttributeValue::S(text) => format!("'{text}'"),
        AttributeValue::N(number) => number.to_string(),
        AttributeValue::B(bytes) => hex(bytes),
        AttributeValue::Bool(value) => value.to_string(),
        AttributeValue::Null => "null".to_owned(),
        AttributeValue::Ss(set) => {
            format!("<{}>", list(set.iter().map(|text| format!("'{text}'")).collect()))
        }
        AttributeValue::Ns(set) => {
            format!("<{}>", list(set.iter().map(ToString::to_string).collect()))
        }
        AttributeValue::Bs(set) => format!("<{}>", list(set.iter().map(|b| hex(b)).collect())),
        AttributeValue::L(values) => format!("[{}]", list(values.iter().map(show).collect())),
        AttributeValue::M(map) => show_item(map),
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn accept(&mut self, symbol: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(symbol) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn until(&mut self, end: impl Fn(char) -> bool) -> &'a str {
        self.rest = self.rest.trim_start();
        let length = self.rest.find(end).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        word
    }

    fn text(&mut self) -> String {
        let text = self.until(|c| c == '\'').to_owned();
        assert!(self.accept('\''), "text without an end");
        text
    }

    fn list(&mut self, end: char) -> Vec<AttributeValue> {
        let mut values = Vec::new();
        while !self.accept(end) {
            values.push(self.value());
            self.accept(',');
        }
        values
    }

    fn value(&mut self) -> AttributeValue {
        if self.accept('\'') {
            // Blanks count inside of quotes.
            return AttributeValue::S(self.text());
        }
        if self.accept('[') {
            return AttributeValue::L(self.list(']'));
        }
        if self.accept('<') {
            return set(self.list('>'));
        }
        if self.accept('{') {
            let mut map = Item::new();
            while !self.accept('}') {
                let name = self.until(|c| c == ' ' || c == '}').to_owned();
                let name = name.strip_suffix(':').expect("a name and a colon").to_owned();
                map.insert(name, self.value());
                self.accept(',');
            }
            return AttributeValue::M(map);
        }
        let word = self.until(|c| " ,]}>'".contains(c));
        match word {
            "true" => AttributeValue::Bool(true),
            "false" => AttributeValue::Bool(false),
            "null" => AttributeValue::Null,
            "x" if self.accept('\'') => {
                let digits = self.text();
                let bytes = (0..digits.len() / 2)
                    .map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).expect("hex"))
                    .collect::<Vec<u8>>();
                AttributeValue::B(bytes.into())
            }
            number => AttributeValue::N(Number::parse(number).expect("a number")),
        }
    }
}

fn set(values: Vec<AttributeValue>) -> AttributeValue {
    let mut strings = Vec::new();
    let mut numbers = Vec::new();
    let mut binaries = Vec::new();
    for value in values {
        match value {
            AttributeValue::S(text) => strings.push(text),
            AttributeValue::N(number) => numbers.push(number),
            AttributeValue::B(bytes) => binaries.push(bytes),
            other => panic!("not in a set: {other:?}"),
        }
    }
    strings.sort();
    numbers.sort();
    binaries.sort();
    if !strings.is_empty() {
        AttributeValue::Ss(strings)
    } else if !numbers.is_empty() {
        AttributeValue::Ns(numbers)
    } else {
        AttributeValue::Bs(binaries)
    }
}
