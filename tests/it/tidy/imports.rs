//! Reads Rust source far enough to know which module refers to which: grouped and multi-line `use`, paths in code,
//! `super`, and names that a module re-exports. Comments and strings do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Source;

/// The path of a module from the crate's root: `["store", "rows"]`; the root itself is empty.
pub(crate) type Module = Vec<String>;

/// A path that a module's code names, resolved to the module where the named item is defined.
pub(crate) struct Reference {
    pub(crate) from: Module,
    pub(crate) to: Module,
    /// The path as it is written, from the crate's root.
    pub(crate) written: Vec<String>,
    /// `file:line`.
    pub(crate) place: String,
    /// Whether the code is compiled for tests only.
    pub(crate) is_test: bool,
}

/// Returns every reference of the modules of `src`, except to other crates.
pub(crate) fn references(sources: &[Source]) -> Vec<Reference> {
    let files: Vec<File> = sources.iter().filter_map(File::read).collect();
    let test_only: BTreeSet<Module> = files.iter().flat_map(|file| file.test_modules.clone()).collect();
    let is_test = |module: &[String]| (1..=module.len()).any(|end| test_only.contains(&module[..end]));
    let tree = Tree::of(&files);
    let mut found = Vec::new();
    for file in &files {
        for named in &file.paths {
            if let Some(written) = tree.absolute(&named.scope, &named.path) {
                found.push(Reference {
                    from: file.module.clone(),
                    to: tree.resolve(&written, 0),
                    written,
                    place: format!("{}:{}", file.path, named.line),
                    is_test: is_test(&named.scope),
                });
            }
        }
    }
    found
}

/// Returns the identifiers of the code, with their lines.
pub(crate) fn identifiers(text: &str) -> Vec<(usize, String)> {
    let tokens = tokens(text).into_iter();
    tokens.filter(|token| token.is_word()).map(|token| (token.line, token.text)).collect()
}

/// Returns the module of a file: `store::rows` for `src/store/rows.rs`, and `None` for `lib.rs` and `main.rs`.
fn module_of(path: &Path) -> Option<Module> {
    let inside = path.strip_prefix("src").ok()?.with_extension("");
    let mut module: Module = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    (module != ["lib"] && module != ["main"]).then_some(module)
}

struct File {
    path: String,
    module: Module,
    paths: Vec<Named>,
    test_modules: Vec<Module>,
}

/// A path as it is written in a file.
struct Named {
    /// The module around it, inline ones included.
    scope: Module,
    path: Vec<String>,
    /// The name that a `use` gives to it in its scope.
    name: Option<String>,
    line: usize,
}

impl File {
    fn read(source: &Source) -> Option<Self> {
        let module = module_of(&source.path)?;
        let path = source.path.display().to_string();
        let mut file = Self { path, module, paths: Vec::new(), test_modules: Vec::new() };
        file.walk(&tokens(&source.text));
        Some(file)
    }

    fn walk(&mut self, tokens: &[Token]) {
        let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.text == text);
        let mut scope = self.module.clone();
        let (mut depth, mut inline) = (0_usize, Vec::new());
        let mut at = 0;
        while at < tokens.len() {
            let token = &tokens[at];
            let is_start = at == 0 || !is(at - 1, "::");
            match token.text.as_str() {
                "#" => {
                    if let Some(name) = test_module(tokens, at) {
                        self.test_modules.push(joined(&scope, &name));
                    }
                }
                "mod" if is(at + 2, "{") => {
                    scope.push(tokens[at + 1].text.clone());
                    inline.push(depth);
                }
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    if inline.last() == Some(&depth) {
                        inline.pop();
                        scope.pop();
                    }
                }
                // Not `impl Trait + use<'a>`.
                "use" if is_start && !is(at + 1, "<") => {
                    let mut leaves = Vec::new();
                    at = use_tree(tokens, at + 1, &[], &mut leaves);
                    let line = token.line;
                    self.paths.extend(leaves.into_iter().map(|(path, name)| {
                        let name = (name != "_").then_some(name);
                        Named { scope: scope.clone(), path, name, line }
                    }));
                    continue;
                }
                "crate" | "super" | "self" if is_start && is(at + 1, "::") => {
                    let line = token.line;
                    let mut path = vec![token.text.clone()];
                    while is(at + 1, "::") && tokens.get(at + 2).is_some_and(Token::is_word) {
                        path.push(tokens[at + 2].text.clone());
                        at += 2;
                    }
                    self.paths.push(Named { scope: scope.clone(), path, name: None, line });
                }
                _ => {}
            }
            at += 1;
        }
    }
}

/// Returns the name of the module that follows, if it is for tests only.
fn test_module(tokens: &[Token], at: usize) -> Option<String> {
    let texts: Vec<&str> = tokens[at..].iter().take(7).map(|token| token.text.as_str()).collect();
    if texts != ["#", "[", "cfg", "(", "test", ")", "]"] {
        return None;
    }
    let mut at = at + 7;
    while tokens.get(at)?.text == "#" {
        at = behind_brackets(tokens, at + 1);
    }
    if tokens[at].text == "pub" {
        at = if tokens.get(at + 1)?.text == "(" { behind_brackets(tokens, at + 1) } else { at + 1 };
    }
    (tokens[at].text == "mod").then(|| tokens[at + 1].text.clone())
}

/// Returns the place behind the bracket that closes the one at `at`.
fn behind_brackets(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0;
    loop {
        match tokens[at].text.as_str() {
            "{" | "[" | "(" => depth += 1,
            "}" | "]" | ")" => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
}

/// Collects the leaves of a `use` tree, each with the name that it gets, and returns the place behind the tree.
fn use_tree(
    tokens: &[Token],
    mut at: usize,
    prefix: &[String],
    leaves: &mut Vec<(Vec<String>, String)>,
) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens[at].text.as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens[at].text != "}" {
                    at = use_tree(tokens, at, &path, leaves);
                    if tokens[at].text == "," {
                        at += 1;
                    }
                }
                return at + 1;
            }
            "*" => {
                leaves.push((path, "_".to_owned()));
                return at + 1;
            }
            "as" => {
                leaves.push((path, tokens[at + 1].text.clone()));
                return at + 2;
            }
            // `{self, …}` names the module itself.
            "self" if !path.is_empty() => at += 1,
            _ if tokens[at].is_word() => {
                path.push(tokens[at].text.clone());
                at += 1;
            }
            _ => {
                let name = path.last().cloned().unwrap_or_default();
                leaves.push((path, name));
                return at;
            }
        }
    }
}

/// The modules, and the names that each of them imports.
struct Tree {
    modules: BTreeSet<Module>,
    names: BTreeMap<(Module, String), Vec<String>>,
}

impl Tree {
    fn of(files: &[File]) -> Self {
        let modules = files.iter().map(|file| file.module.clone()).collect();
        let mut tree = Self { modules, names: BTreeMap::new() };
        for file in files {
            for named in &file.paths {
                if let (Some(name), Some(path)) = (&named.name, tree.absolute(&named.scope, &named.path)) {
                    tree.names.insert((named.scope.clone(), name.clone()), path);
                }
            }
        }
        tree
    }

    /// Returns the path from the crate's root, or `None` if it leads to another crate.
    fn absolute(&self, scope: &[String], path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => self.below(scope, rest),
            "super" => self.below(&scope[..scope.len().checked_sub(1)?], rest),
            name => self.modules.contains(&joined(scope, name)).then(|| [scope, path].concat()),
        }
    }

    fn below(&self, module: &[String], rest: &[String]) -> Option<Vec<String>> {
        match rest.first().map(String::as_str) {
            Some("super") => self.absolute(module, rest),
            _ => Some([module, rest].concat()),
        }
    }

    /// Returns the module that defines what a path from the crate's root names, behind all re-exports.
    fn resolve(&self, path: &[String], depth: usize) -> Module {
        const DEPTH_MAX: usize = 8;
        let mut module = Module::new();
        for (index, segment) in path.iter().enumerate() {
            let child = joined(&module, segment);
            if self.modules.contains(&child) {
                module = child;
                continue;
            }
            match self.names.get(&(module.clone(), segment.clone())) {
                Some(target) if depth < DEPTH_MAX => {
                    return self.resolve(&[target.as_slice(), &path[index + 1..]].concat(), depth + 1);
                }
                _ => break,
            }
        }
        module
    }
}

fn joined(module: &[String], name: &str) -> Module {
    let mut joined = module.to_vec();
    joined.push(name.to_owned());
    joined
}

/// A word, `::`, or one other character.
struct Token {
    text: String,
    line: usize,
}

impl Token {
    fn is_word(&self) -> bool {
        self.text.starts_with(|first: char| first.is_alphabetic() || first == '_')
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let characters: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < characters.len() {
        let rest = &characters[at..];
        let length = match rest {
            ['/', '/', ..] => rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment(rest),
            ['r', '"' | '#', ..] | ['b' | 'c', 'r', ..] if raw_string(rest).is_some() => {
                raw_string(rest).unwrap_or(1)
            }
            ['"', ..] => string(rest),
            ['\'', '\\', ..] => 2 + rest[3..].iter().position(|&c| c == '\'').map_or(1, |end| end + 2),
            ['\'', _, '\'', ..] => 3,
            [first, ..] if first.is_alphanumeric() || *first == '_' => {
                let is_part = |c: &char| c.is_alphanumeric() || *c == '_';
                let length = rest.iter().position(|c| !is_part(c)).unwrap_or(rest.len());
                found.push(Token { text: rest[..length].iter().collect(), line });
                length
            }
            [':', ':', ..] => {
                found.push(Token { text: "::".to_owned(), line });
                2
            }
            [other, ..] => {
                if !other.is_whitespace() {
                    found.push(Token { text: other.to_string(), line });
                }
                1
            }
            [] => break,
        };
        line += rest[..length].iter().filter(|&&c| c == '\n').count();
        at += length;
    }
    found
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    break;
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// Returns the length of the raw string that begins here, or `None` if none does (`r#type` is an identifier).
fn raw_string(rest: &[char]) -> Option<usize> {
    let prefix = rest.iter().position(|&c| c == 'r')? + 1;
    let hashes = rest[prefix..].iter().take_while(|&&c| c == '#').count();
    if rest.get(prefix + hashes) != Some(&'"') {
        return None;
    }
    let mut end = vec!['"'];
    end.extend(std::iter::repeat_n('#', hashes));
    let body = prefix + hashes + 1;
    let length = rest[body..].windows(end.len()).position(|window| window == end)?;
    Some(body + length + end.len())
}

#[test]
fn grouped_nested_and_multi_line_paths_are_all_seen() {
    let source = |path: &str, text: &str| Source { path: path.into(), text: text.to_owned() };
    let sources = [
        source(
            "src/store/mod.rs",
            "mod rows; mod open;\npub use rows::{\n    Row,\n    RowError as Broken,\n};",
        ),
        source("src/store/rows.rs", "pub struct Row; pub enum RowError {}\n"),
        source("src/domain/run.rs", ""),
        source("src/domain/mod.rs", "pub mod run;"),
        source(
            "src/store/open.rs",
            "// crate::api\nuse crate::{\n    domain::{self, run::{Run, RunId}},\n    engine,\n};\nuse super::Broken;\n\
             fn f<'a>(x: &'a str) -> char { let s = \"crate::cli\"; super::super::daemon::g::<u8>(s, '\"'); '{' }\n\
             mod inner { use super::super::rows::Row; }\n\
             #[cfg(test)]\n#[expect(unused)]\nmod tests { use crate::cli; }\nuse r#type as _;\nfn g() { crate::signals::h() }",
        ),
        source("src/store/tests.rs", "use crate::cli;"),
        source("src/store/extra.rs", "#[cfg(test)]\npub(super) mod tests;"),
        source("src/store/extra/tests.rs", "use crate::cli;"),
    ];
    let found = references(&sources);
    let shown: Vec<String> = found
        .iter()
        .filter(|reference| reference.from == ["store", "open"])
        .map(|reference| {
            let line = reference.place.rsplit(':').next().unwrap();
            let mark = if reference.is_test { " (test)" } else { "" };
            format!("{line} {} -> {}{mark}", reference.written.join("::"), reference.to.join("::"))
        })
        .collect();
    let expected = [
        "2 domain -> domain",
        "2 domain::run::Run -> domain::run",
        "2 domain::run::RunId -> domain::run",
        "2 engine -> ",
        "6 store::Broken -> store::rows",
        "7 daemon::g -> ",
        "8 store::rows::Row -> store::rows",
        "11 cli ->  (test)",
        "13 signals::h -> ",
    ];
    assert_eq!(shown, expected);
    let of_extra =
        found.iter().find(|reference| reference.from.starts_with(&["store".into(), "extra".into()]));
    assert!(of_extra.unwrap().is_test);
}
