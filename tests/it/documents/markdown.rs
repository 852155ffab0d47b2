//! As much of Markdown as the documents use: headings, fenced blocks, inline code, comments and links.

use std::path::{Path, PathBuf};

use super::root;

pub(super) struct Document {
    /// From the root.
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// A fenced block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) language: String,
    pub(super) text: String,
    /// The line of its opening fence, from 1.
    pub(super) line: usize,
    /// What the HTML comment right before it says.
    pub(super) comment: Option<String>,
}

impl Document {
    pub(super) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(root().join(path));
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path: path.to_owned(), text }
    }

    pub(super) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        let mut last_line = "";
        for (index, line) in self.text.lines().enumerate() {
            match (line.strip_prefix("```"), open.take()) {
                (Some(language), None) => {
                    let comment = last_line.strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->"));
                    let comment = comment.map(|comment| comment.trim().to_owned());
                    let language = language.trim().to_owned();
                    open = Some(Block { language, text: String::new(), line: index + 1, comment });
                }
                (Some(_), Some(block)) => blocks.push(block),
                (None, Some(mut block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                    open = Some(block);
                }
                (None, None) => {}
            }
            if !line.trim().is_empty() {
                last_line = line.trim();
            }
        }
        assert!(open.is_none(), "{}: a fenced block is not closed", self.path.display());
        blocks
    }

    /// Returns the text with fenced blocks left out, line by line.
    pub(super) fn prose(&self) -> String {
        let mut is_fenced = false;
        let mut prose = String::new();
        for line in self.text.lines() {
            if line.starts_with("```") {
                is_fenced = !is_fenced;
            } else if !is_fenced {
                prose.push_str(line);
                prose.push('\n');
            }
        }
        prose
    }

    pub(super) fn inline_code(&self) -> Vec<String> {
        self.prose().split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// Returns the anchors of its headings, as GitHub makes them.
    pub(super) fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        for line in self.prose().lines().filter(|line| line.starts_with('#')) {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
            let same = anchors.iter().filter(|anchor| **anchor == slug).count();
            anchors.push(if same == 0 { slug } else { format!("{slug}-{same}") });
        }
        anchors
    }

    /// Returns the targets of its links.
    pub(super) fn links(&self) -> Vec<String> {
        let prose = self.prose();
        let targets =
            prose.split("](").skip(1).map(|rest| rest.split(')').next().unwrap_or_default().to_owned());
        targets.collect()
    }

    /// Returns the cells of the first table after a text, without its head.
    pub(super) fn table_after(&self, text: &str) -> Vec<Vec<String>> {
        let place = self.text.find(text).unwrap_or_else(|| panic!("{} has no {text:?}", self.path.display()));
        let rows = self.text[place..].lines().skip_while(|line| !line.starts_with('|'));
        let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
        let cells =
            |row: &str| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
        rows.map(cells).collect()
    }
}

#[test]
fn blocks_are_found_with_the_comments_before_them() {
    let text = "<!-- not run: why -->\n```sh\na\nb\n```\n\n```toml\nc\n```\n";
    let document = Document { path: "x.md".into(), text: text.to_owned() };
    let found: Vec<_> =
        document.blocks().into_iter().map(|block| (block.text, block.comment, block.line)).collect();
    let expected = [("a\nb\n".to_owned(), Some("not run: why".to_owned()), 2), ("c\n".to_owned(), None, 7)];
    assert_eq!(found, expected);
}

#[test]
fn anchors_are_those_of_github() {
    let text = "# [webhooks.url]\n## What to do when …\n## The agent server's API\n## A `b`\n## A `b`\n";
    let document = Document { path: "x.md".into(), text: text.to_owned() };
    assert_eq!(
        document.anchors(),
        ["webhooksurl", "what-to-do-when-", "the-agent-servers-api", "a-b", "a-b-1"]
    );
}
