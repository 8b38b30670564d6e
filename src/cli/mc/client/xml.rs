//! XML of S3 as the client needs it: a small tree, read from an answer, and text made fit for a request. It knows no element by name.

use quick_xml::Reader;
use quick_xml::escape::{escape, unescape};
use quick_xml::events::Event;

/// Elements inside elements that an answer may have.
const DEPTH_MAX: usize = 32;

/// An element: its name without namespace, its text, and what is in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::cli::mc) struct Element {
    pub(in crate::cli::mc) name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// The root element of a document; `None` when it is not well-formed.
    pub(super) fn parse(document: &str) -> Option<Self> {
        let mut reader = Reader::from_str(document);
        let mut open: Vec<Self> = Vec::new();
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => {
                    let name = String::from_utf8(start.local_name().as_ref().to_vec()).ok()?;
                    open.push(Self {
                        name,
                        ..Self::default()
                    });
                    if open.len() > DEPTH_MAX {
                        return None;
                    }
                }
                Event::Empty(start) => {
                    let name = String::from_utf8(start.local_name().as_ref().to_vec()).ok()?;
                    let element = Self {
                        name,
                        ..Self::default()
                    };
                    match open.last_mut() {
                        Some(parent) => parent.children.push(element),
                        None => return Some(element),
                    }
                }
                Event::End(_) => {
                    let element = open.pop()?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(element),
                        None => return Some(element),
                    }
                }
                Event::Text(text) => {
                    if let Some(element) = open.last_mut() {
                        element.text.push_str(&text.decode().ok()?);
                    }
                }
                Event::CData(text) => {
                    if let Some(element) = open.last_mut() {
                        element.text.push_str(&text.decode().ok()?);
                    }
                }
                Event::GeneralRef(reference) => {
                    if let Some(element) = open.last_mut() {
                        let name = reference.decode().ok()?;
                        element.text.push_str(&unescape(&format!("&{name};")).ok()?);
                    }
                }
                Event::Eof => return None,
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::DocType(_) => {}
            }
        }
    }

    /// All children of a name, in order.
    pub(in crate::cli::mc) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first child of a name.
    pub(in crate::cli::mc) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of a name; empty when there is none.
    pub(in crate::cli::mc) fn text_of(&self, name: &str) -> &str {
        self.child(name).map_or("", Self::text)
    }

    /// The text itself.
    pub(in crate::cli::mc) fn text(&self) -> &str {
        &self.text
    }
}

/// `<name>text</name>`.
pub(in crate::cli::mc) fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_becomes_a_tree() {
        let text = r#"<?xml version="1.0"?><a xmlns="u"><b>1 &amp; &lt;2&gt; &#x41;</b><b/><c><d>x</d></c></a>"#;
        let root = Element::parse(text).unwrap();
        let found: Vec<&str> = root.all("b").map(Element::text).collect();
        assert_eq!((root.name.as_str(), found), ("a", vec!["1 & <2> A", ""]));
        assert_eq!(root.child("c").unwrap().text_of("d"), "x");
        assert_eq!(root.text_of("nothing"), "");
    }

    #[test]
    fn what_is_no_document_is_refused_and_never_panics() {
        for text in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "</a>",
            "<a>&nothing;</a>",
            &"<a>".repeat(100),
        ] {
            assert_eq!(Element::parse(text), None, "{text}");
        }
        assert_eq!(element("Key", "a<b>&"), "<Key>a&lt;b&gt;&amp;</Key>");
    }
}
