//! Nodes and data to text.

use serde_json::{Value, json};

use super::{Argument, Call, Error, GoField, Node};

/// Renders one template with data whose fields have these names in Go.
pub(super) struct Renderer<'a> {
    pub(super) names: &'a [GoField],
}

impl Renderer<'_> {
    pub(super) fn render(&self, nodes: &[Node], data: &Value, output: &mut String) -> Result<(), Error> {
        for node in nodes {
            match node {
                Node::Text(text) => output.push_str(text),
                Node::Print(pipe) => {
                    let value = self.evaluate(pipe, data)?;
                    match time_of(pipe, &value) {
                        Some(time) => output.push_str(&time),
                        None => output.push_str(&go_text(&value)),
                    }
                }
                Node::If(pipe, then, otherwise) => {
                    let branch = if is_true(&self.evaluate(pipe, data)?) { then } else { otherwise };
                    self.render(branch, data, output)?;
                }
                Node::Range(pipe, body) => match self.evaluate(pipe, data)? {
                    Value::Array(items) => items.iter().try_for_each(|item| self.render(body, item, output))?,
                    Value::Object(items) => items.values().try_for_each(|item| self.render(body, item, output))?,
                    Value::Null => {}
                    _ => return Err(Error::Value("range".to_owned())),
                },
            }
        }
        Ok(())
    }

    fn evaluate(&self, pipe: &[Call], data: &Value) -> Result<Value, Error> {
        let mut piped = None;
        for call in pipe {
            let mut arguments = Vec::new();
            for argument in &call.arguments {
                arguments.push(match argument {
                    Argument::Literal(value) => value.clone(),
                    Argument::Field(path) => self.field(data, path)?,
                });
            }
            arguments.extend(piped.take());
            piped = Some(apply(call.function, &arguments)?);
        }
        Ok(piped.unwrap_or(Value::Null))
    }

    fn field(&self, data: &Value, path: &[String]) -> Result<Value, Error> {
        let mut value = data.clone();
        for (depth, name) in path.iter().enumerate() {
            value = match (self.named(&value, name), &value) {
                (Some(value), _) => value,
                // Below the top level the names are the image's own, a label say, and one that is missing is empty.
                (None, Value::Object(_) | Value::Null) if depth > 0 => return Ok(Value::Null),
                (None, Value::Object(fields)) => return Err(self.no_field(name, fields)),
                _ => return Err(Error::Value(format!(".{}", path.join(".")))),
            };
        }
        Ok(value)
    }

    /// The member as JSON calls it, else as Go does; what Go has there where it is missing or null.
    fn named(&self, value: &Value, name: &str) -> Option<Value> {
        let members = value.as_object()?;
        let field = self.names.iter().find(|field| field.go == name);
        let found = members.get(name).or_else(|| members.get(field?.json));
        match (found, field) {
            (None | Some(Value::Null), Some(field)) => Some(serde_json::from_str(field.empty).unwrap_or_default()),
            (found, _) => found.cloned(),
        }
    }

    fn no_field(&self, name: &str, fields: &serde_json::Map<String, Value>) -> Error {
        let go_name = |key: &String| {
            let field = self.names.iter().find(|field| field.json == key);
            field.map_or_else(|| key.clone(), |field| field.go.to_owned())
        };
        Error::NoField { field: name.to_owned(), known: fields.keys().map(go_name).collect::<Vec<_>>().join(", ") }
    }
}

fn apply(function: Option<&str>, arguments: &[Value]) -> Result<Value, Error> {
    let misfit = || Error::Value(function.unwrap_or_default().to_owned());
    Ok(match (function, arguments) {
        (None, [value]) => value.clone(),
        (Some("json"), [value]) => Value::String(value.to_string()),
        (Some("len"), [Value::Array(items)]) => items.len().into(),
        (Some("len"), [Value::Object(items)]) => items.len().into(),
        (Some("len"), [Value::String(text)]) => text.len().into(),
        (Some("len"), [Value::Null]) => 0.into(),
        (Some("lower"), [Value::String(text)]) => text.to_lowercase().into(),
        (Some("upper"), [Value::String(text)]) => text.to_uppercase().into(),
        (Some("not"), [value]) => (!is_true(value)).into(),
        (Some("eq"), [first, others @ ..]) if !others.is_empty() => others.contains(first).into(),
        (Some("ne"), [first, second]) => (first != second).into(),
        (Some("println"), values) => (values.iter().map(go_text).collect::<Vec<_>>().join(" ") + "\n").into(),
        (Some("join"), [Value::Array(items), Value::String(separator)]) => {
            items.iter().map(go_text).collect::<Vec<_>>().join(separator).into()
        }
        (Some("index"), [Value::Null, _]) => Value::Null,
        (Some("index"), [Value::Object(items), Value::String(key)]) => items.get(key).cloned().unwrap_or(Value::Null),
        (Some("index"), [Value::Array(items), Value::Number(index)]) => {
            index.as_u64().and_then(|index| items.get(usize::try_from(index).ok()?)).cloned().ok_or_else(misfit)?
        }
        _ => return Err(misfit()),
    })
}

/// As Go prints a value: `[a b]`, `map[k:v]`.
fn go_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_text).collect::<Vec<_>>().join(" ")),
        Value::Object(items) => {
            // The members of a set have an empty structure each.
            let member = |value: &Value| if *value == json!({}) { "{}".to_owned() } else { go_text(value) };
            let mut pairs: Vec<_> = items.iter().map(|(key, value)| format!("{key}:{}", member(value))).collect();
            pairs.sort();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}

/// `{{.Created}}` is a time in Go, and printed as one.
fn time_of(pipe: &[Call], value: &Value) -> Option<String> {
    let [Call { function: None, arguments }] = pipe else { return None };
    let [Argument::Field(path)] = arguments.as_slice() else { return None };
    if path.as_slice() == ["Created"] { go_time(value.as_str()?) } else { None }
}

/// `2024-05-06T07:08:09Z` as `2024-05-06 07:08:09 +0000 UTC`.
fn go_time(text: &str) -> Option<String> {
    let (date, rest) = text.split_once('T')?;
    let (clock, zone) = rest.split_at(rest.find(['Z', '+', '-'])?);
    if zone == "Z" {
        return Some(format!("{date} {clock} +0000 UTC"));
    }
    let zone = zone.replace(':', "");
    Some(format!("{date} {clock} {zone} {zone}"))
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(value) => value.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(items) => !items.is_empty(),
    }
}
