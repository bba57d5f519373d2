//! `--format`: the part of Go's template language that people use with skopeo.
//!
//! Fields (`{{.Name}}`, `{{.Labels.version}}`), the [`FUNCTIONS`], pipes, `range`, `if`, `else if` and `else`, `{{-` and
//! `-}}`. No well-kept crate reads it.

use serde_json::Value;

mod parse;
mod render;

/// What can be called.
const FUNCTIONS: [&str; 10] = ["eq", "index", "join", "json", "len", "lower", "ne", "not", "println", "upper"];

/// A template, checked.
#[derive(Debug)]
pub(super) struct Template(Vec<Node>);

/// A field that templates call as Go does, and that the data may lack.
#[derive(Debug, Clone, Copy)]
pub(super) struct GoField {
    /// Its name in a template.
    pub(super) go: &'static str,
    /// Its name in the data.
    pub(super) json: &'static str,
    /// What it is where the data has none, in JSON.
    pub(super) empty: &'static str,
}

/// Why a text is not a template, or does not fit the data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("--format: {{{{ without }}}}")]
    Unclosed,
    #[error("--format: {{{{{0}}}}} without {{{{end}}}}")]
    NoEnd(String),
    #[error("--format: {{{{{0}}}}} where nothing is open")]
    NothingOpen(String),
    #[error("--format: cannot read {{{{{action}}}}}; there are fields, if, else, range, end, {}", FUNCTIONS.join(", "))]
    Syntax { action: String },
    #[error("--format: there is no field {field:?} (there are {known})")]
    NoField { field: String, known: String },
    #[error("--format: {0} does not fit its value")]
    Value(String),
}

#[derive(Debug)]
enum Node {
    Text(String),
    Print(Vec<Call>),
    Range(Vec<Call>, Vec<Node>),
    If(Vec<Call>, Vec<Node>, Vec<Node>),
}

/// One command of a pipe; the value of the one before is its last argument.
#[derive(Debug)]
struct Call {
    function: Option<&'static str>,
    arguments: Vec<Argument>,
}

#[derive(Debug, Clone)]
enum Argument {
    Field(Vec<String>),
    Literal(Value),
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        parse::template(text).map(Self)
    }

    pub(super) fn render(&self, data: &Value, names: &[GoField]) -> Result<String, Error> {
        let mut output = String::new();
        render::Renderer { names }.render(&self.0, data, &mut output)?;
        Ok(output)
    }
}

/// `json` and `{{json .}}` ask for what is printed without a template.
pub(super) fn is_json(text: &str) -> bool {
    let text = text.trim();
    let action = text.strip_prefix("{{").and_then(|text| text.strip_suffix("}}"));
    text == "json" || action.is_some_and(|action| matches!(action.trim(), "json" | "json ."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [GoField; 5] = [
        GoField { go: "Created", json: "created", empty: "\"\"" },
        GoField { go: "History", json: "history", empty: "[]" },
        GoField { go: "EmptyLayer", json: "empty_layer", empty: "false" },
        GoField { go: "Empty", json: "Empty", empty: "[]" },
        GoField { go: "Author", json: "author", empty: "\"\"" },
    ];

    fn render(template: &str) -> Result<String, Error> {
        let data = serde_json::json!({
            "Name": "quay.io/x", "Digest": "sha256:1", "Layers": ["a", "b"], "Tag": "",
            "Labels": {"v": "1", "org.opencontainers.image.title": "T"}, "Empty": null,
            "Created": "2024-05-06T07:08:09.1+02:00", "history": [{"empty_layer": true}, {"Created": "2024-01-01T00:00:00Z"}],
        });
        Template::parse(template)?.render(&data, &NAMES)
    }

    #[test]
    fn what_people_use_works_as_in_go() {
        for (template, expected) in [
            ("plain", "plain"),
            ("{{.Name}}@{{ .Digest }}", "quay.io/x@sha256:1"),
            ("{{.Labels.v}}", "1"),
            ("{{index .Labels \"org.opencontainers.image.title\"}}", "T"),
            ("{{index .Labels \"missing\"}}|{{.Labels.missing}}|{{.Empty}}|{{.Author}}|", "||[]||"),
            ("{{index .Layers 1}}", "b"),
            ("{{json .Layers}}", r#"["a","b"]"#),
            ("{{.Layers | json}}", r#"["a","b"]"#),
            ("{{.Layers}} {{.Labels}}", "[a b] map[org.opencontainers.image.title:T v:1]"),
            ("{{len .Layers}}{{upper .Name}}", "2QUAY.IO/X"),
            ("{{join .Layers \", \"}}", "a, b"),
            ("{{range .Layers}}{{.}}\\n{{end}}", "a\nb\n"),
            ("{{if .Tag}}tagged{{else}}untagged{{end}}", "untagged"),
            ("a {{- .Name -}} b", "aquay.io/xb"),
            ("{{.Created}}", "2024-05-06 07:08:09.1 +0200 +0200"),
            ("{{json .Created}}", "\"2024-05-06T07:08:09.1+02:00\""),
            ("{{range .History}}{{.EmptyLayer}} {{.Created}};{{end}}", "true ;false 2024-01-01 00:00:00 +0000 UTC;"),
            ("{{if eq .Name \"b\" \"quay.io/x\"}}1{{else}}2{{end}}{{if ne .Name .Name}}3{{end}}{{not .Tag}}", "1true"),
            ("{{if .Tag}}1{{else if .Empty}}2{{else if .Name}}3{{else}}4{{end}}5", "35"),
            ("{{range .Layers}}{{println . \"x\"}}{{end}}", "a x\nb x\n"),
        ] {
            assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for template in [
            "{{",
            "{{.Nmae}}",
            "{{end}}",
            "{{range .Layers}}",
            "{{shout .Name}}",
            "{{}}",
            "{{.Name.x}}",
            "{{len 3}}",
            "{{index .Layers 7}}",
            "{{\"open}}",
            "{{.Name .Digest}}",
            "{{.Name |}}",
            "{{if .Name}}{{else}}{{else}}{{end}}",
            "{{if .Name}}{{else with .Name}}{{end}}",
            "{{eq .Name}}",
        ] {
            assert!(render(template).is_err(), "{template}");
        }
    }

    #[test]
    fn the_whole_as_json_is_no_template() {
        for text in ["json", " json ", "{{json .}}", "{{ json . }}", "{{json}}"] {
            assert!(is_json(text), "{text}");
        }
        for text in ["", "jso", "{{json .Labels}}", "x{{json .}}", "{{.}}"] {
            assert!(!is_json(text), "{text}");
        }
    }
}
