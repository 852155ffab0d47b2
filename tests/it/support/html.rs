//! Reads HTML as our pages have it: every element is closed, every attribute is quoted, and nothing is left to a browser's
//! mending. What is not so fails the test.

/// Elements without content.
const VOID: [&str; 8] = ["area", "br", "hr", "img", "input", "link", "meta", "wbr"];

/// A document that was read.
pub(crate) struct Html {
    nodes: Vec<Node>,
}

struct Node {
    /// Empty for text.
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    /// Where what is not inside begins.
    end: usize,
}

/// An element of a document.
#[derive(Clone, Copy)]
pub(crate) struct Element<'h> {
    html: &'h Html,
    place: usize,
}

impl Html {
    /// Reads a document. `what` says which, if it is not well-formed.
    #[track_caller]
    pub(crate) fn read(text: &str, what: &str) -> Self {
        let (mut nodes, mut open): (Vec<Node>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut rest = text;
        while !rest.is_empty() {
            let (before, tag) = rest.split_at(rest.find('<').unwrap_or(rest.len()));
            if !before.trim().is_empty() {
                let end = nodes.len() + 1;
                let text = unescaped(before, what);
                nodes.push(Node { name: String::new(), attributes: Vec::new(), text, end });
            }
            let Some((inside, after)) = tag.strip_prefix('<').and_then(split_tag) else {
                assert!(tag.is_empty(), "{what}: a tag does not end: {}", beginning(tag));
                break;
            };
            rest = after;
            if let Some(name) = inside.strip_prefix('/') {
                let begun = open.pop().unwrap_or_else(|| panic!("{what}: </{name}> ends nothing"));
                assert_eq!(nodes[begun].name, name, "{what}: <{}> ends with </{name}>", nodes[begun].name);
                nodes[begun].end = nodes.len();
            } else if !inside.starts_with('!') {
                let (name, attributes) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
                let attributes = read_attributes(attributes, what);
                nodes.push(Node {
                    name: name.to_owned(),
                    attributes,
                    text: String::new(),
                    end: nodes.len() + 1,
                });
                if !VOID.contains(&name) {
                    open.push(nodes.len() - 1);
                }
            }
        }
        let left: Vec<_> = open.iter().map(|place| &nodes[*place].name).collect();
        assert!(left.is_empty(), "{what}: not closed: {left:?}");
        Self { nodes }
    }

    /// Returns the number of its elements and texts.
    pub(crate) fn size(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn elements(&self) -> impl Iterator<Item = Element<'_>> {
        self.between(0, self.nodes.len())
    }

    /// Returns the elements of this name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = Element<'_>> {
        self.elements().filter(move |element| element.name() == name)
    }

    /// Returns all text that is shown.
    pub(crate) fn text(&self) -> String {
        self.nodes.iter().map(|node| node.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn between(&self, begin: usize, end: usize) -> impl Iterator<Item = Element<'_>> {
        let elements = (begin..end).filter(|place| !self.nodes[*place].name.is_empty());
        elements.map(|place| Element { html: self, place })
    }
}

impl<'h> Element<'h> {
    fn node(self) -> &'h Node {
        &self.html.nodes[self.place]
    }

    pub(crate) fn name(self) -> &'h str {
        &self.node().name
    }

    pub(crate) fn attributes(self) -> &'h [(String, String)] {
        &self.node().attributes
    }

    pub(crate) fn attribute(self, name: &str) -> Option<&'h str> {
        self.attributes().iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn has(self, name: &str, value: &str) -> bool {
        self.attribute(name) == Some(value)
    }

    /// Returns the elements inside.
    pub(crate) fn inside(self) -> impl Iterator<Item = Element<'h>> {
        self.html.between(self.place + 1, self.node().end)
    }

    /// Returns the text inside.
    pub(crate) fn text(self) -> String {
        let nodes = &self.html.nodes[self.place..self.node().end];
        nodes.iter().map(|node| node.text.as_str()).collect::<String>().trim().to_owned()
    }
}

/// Returns what is inside a tag, and what follows. A `>` in an attribute does not end it.
fn split_tag(text: &str) -> Option<(&str, &str)> {
    let mut is_quoted = false;
    let end = text.find(|char| {
        is_quoted ^= char == '"';
        char == '>' && !is_quoted
    })?;
    Some((&text[..end], &text[end + 1..]))
}

fn read_attributes(text: &str, what: &str) -> Vec<(String, String)> {
    let (mut found, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        let end = rest.find(['=', ' ', '\n']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let is_name = |char: char| char.is_ascii_alphanumeric() || "-:_".contains(char);
        assert!(!name.is_empty() && name.chars().all(is_name), "{what}: no attribute: {}", beginning(rest));
        let value = match after.strip_prefix("=\"") {
            Some(quoted) => {
                let (value, after) = quoted.split_once('"').unwrap();
                rest = after;
                unescaped(value, what)
            }
            None => {
                assert!(!after.starts_with('='), "{what}: not quoted: {}", beginning(rest));
                rest = after;
                String::new()
            }
        };
        assert!(!found.iter().any(|(found, _)| found == name), "{what}: {name} is there twice: {text}");
        found.push((name.to_owned(), value));
        rest = rest.trim_start();
    }
    found
}

fn unescaped(text: &str, what: &str) -> String {
    let (mut shown, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('&') {
        let (entity, after) = after.split_once(';').unwrap_or_else(|| panic!("{what}: a bare & in {text}"));
        shown.push_str(before);
        shown.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            other => panic!("{what}: &{other}; in {text}"),
        });
        rest = after;
    }
    shown + rest
}

fn beginning(text: &str) -> String {
    text.chars().take(200).collect()
}

#[test]
fn a_document_is_read_with_its_elements_attributes_and_text() {
    let text = "<!DOCTYPE html><html><body a=\"x > &quot;y&quot;\" b><p>1 &lt; <b>2</b></p><input name=\"n\"><i>3</i></body></html>";
    let html = Html::read(text, "a test");
    assert_eq!(
        html.elements().map(Element::name).collect::<Vec<_>>(),
        ["html", "body", "p", "b", "input", "i"]
    );
    let body = html.all("body").next().unwrap();
    assert_eq!(
        (body.attribute("a"), body.attribute("b"), body.attribute("c")),
        (Some("x > \"y\""), Some(""), None)
    );
    assert_eq!(html.all("p").map(Element::text).collect::<Vec<_>>(), ["1 < 2"]);
    assert_eq!(body.inside().count(), 4);
    for broken in [
        "<p>",
        "<p></b>",
        "</p>",
        "<p a=x></p>",
        "<p>a & b</p>",
        "<p",
        "<p a=\"1\" a=\"2\"></p>",
        "<p a='1'></p>",
    ] {
        assert!(std::panic::catch_unwind(|| Html::read(broken, "a broken test")).is_err(), "{broken}");
    }
}
