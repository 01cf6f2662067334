//! No circles of imports: within a crate, files import one another in one direction.
//!
//! A name that a module hands on counts as an import of the file that has it. A module's own file stands for the module:
//! that it names its children is no import, and they may name it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, LexError, TokenStream, TokenTree};
use tinyspike_board::shell::{self, Failure};

use crate::tree;

/// Words that paths within a crate begin with.
const ROOTS: [&str; 3] = ["crate", "super", "self"];

/// A path of names from the crate's root.
type Names = Vec<String>;

/// The source of one module.
#[derive(Default)]
struct Module {
    file: PathBuf,
    /// Paths that it names, from the crate's root.
    named: Vec<Names>,
    /// Names that it hands on, and where they come from.
    handed: BTreeMap<String, Names>,
}

/// The modules of a crate by their paths. The root has an empty one.
type Modules = BTreeMap<Names, Module>;

/// Looks for circles in every crate of the workspace.
///
/// # Errors
/// [`Failure::Argument`] with the files of each circle; [`Failure::File`] if a file cannot be read.
pub(crate) fn check() -> Result<(), Failure> {
    let root = shell::root();
    let mut found = Vec::new();
    for source in tree::files(&root, "rs")? {
        if source.ends_with("src/lib.rs") || source.ends_with("src/main.rs") {
            let modules = read(&source)?;
            found.extend(circles(&modules).iter().map(|circle| {
                let names: Vec<String> = (circle.iter())
                    .map(|file| tree::name(&root, file))
                    .collect();
                names.join(" -> ")
            }));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::Argument(format!(
        "files import one another in circles; move what both need into a file of its own:\n  {}",
        found.join("\n  ")
    )))
}

/// Reads the modules of a crate, from the file of its root.
fn read(root: &Path) -> Result<Modules, Failure> {
    let mut modules = Modules::new();
    let mut open = vec![(Names::new(), root.to_owned())];
    while let Some((path, file)) = open.pop() {
        let text = fs::read_to_string(&file).map_err(Failure::file(&file))?;
        let tokens: TokenStream = text.parse().map_err(|e: LexError| {
            Failure::Argument(format!("{} is no Rust source: {e}", file.display()))
        })?;
        let mut module = Module {
            file: file.clone(),
            ..Module::default()
        };
        let mut children = Vec::new();
        look(tokens, &path, &mut module, &mut children);
        let folder = match file.file_stem().and_then(|stem| stem.to_str()) {
            Some("lib" | "main" | "mod") | None => file.parent().map(Path::to_owned),
            Some(_) => Some(file.with_extension("")),
        };
        let folder = folder.unwrap_or_default();
        for child in children {
            let files = [format!("{child}.rs"), format!("{child}/mod.rs")];
            let mut there = files.map(|name| folder.join(name)).into_iter();
            if let Some(file) = there.find(|file| file.is_file()) {
                open.push(([path.clone(), vec![child]].concat(), file));
            }
        }
        modules.insert(path, module);
    }
    Ok(modules)
}

/// Finds what the tokens of the module at `path` name, hand on, and declare. Tests are left out.
fn look(tokens: TokenStream, path: &[String], module: &mut Module, children: &mut Vec<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    // Paths may begin with children that are declared behind them.
    let declared: Vec<String> = tokens
        .windows(3)
        .filter_map(|tokens| match tokens {
            [
                TokenTree::Ident(word),
                TokenTree::Ident(name),
                TokenTree::Punct(_),
            ] if word == "mod" => Some(name.to_string()),
            _ => None,
        })
        .collect();
    let mut at = 0;
    let mut tested = false;
    while let Some(token) = tokens.get(at) {
        match (token, tokens.get(at + 1), tokens.get(at + 2)) {
            // An attribute.
            (TokenTree::Punct(mark), Some(TokenTree::Group(group)), _) if mark.as_char() == '#' => {
                tested = tested || group.stream().to_string().replace(' ', "") == "cfg(test)";
                at += 2;
                continue;
            }
            (TokenTree::Ident(word), Some(TokenTree::Ident(name)), Some(behind))
                if word == "mod" =>
            {
                match behind {
                    TokenTree::Group(body) if !tested => {
                        let inner = [path, &[name.to_string()]].concat();
                        look(body.stream(), &inner, module, &mut Vec::new());
                    }
                    TokenTree::Punct(_) if !tested => children.push(name.to_string()),
                    _ => {}
                }
                at += 3;
            }
            (TokenTree::Ident(word), ..) if word == "use" => {
                let end = (tokens.iter().skip(at))
                    .position(|t| matches!(t, TokenTree::Punct(mark) if mark.as_char() == ';'))
                    .map_or(tokens.len(), |length| at + length);
                let public = at > 0 && is_public(&tokens[..at]);
                for (taken, alias) in uses(&tokens[at + 1..end]) {
                    let taken = absolute(&taken, path, &declared);
                    if public && let Some(name) = alias {
                        module.handed.insert(name, taken.clone());
                    }
                    if !tested {
                        module.named.push(taken);
                    }
                }
                at = end + 1;
            }
            (TokenTree::Ident(word), ..)
                if ["crate", "super", "self"].iter().any(|w| word == w) =>
            {
                let mut taken = vec![word.to_string()];
                at += 1;
                while let [
                    TokenTree::Punct(a),
                    TokenTree::Punct(b),
                    TokenTree::Ident(name),
                    ..,
                ] = &tokens[at..]
                    && (a.as_char(), b.as_char()) == (':', ':')
                {
                    taken.push(name.to_string());
                    at += 3;
                }
                // Nothing but such words is where something can be seen.
                if taken.iter().any(|name| !ROOTS.contains(&name.as_str())) {
                    module.named.push(absolute(&taken, path, &declared));
                }
            }
            (TokenTree::Group(group), ..) => {
                if !tested || group.delimiter() != Delimiter::Brace {
                    look(group.stream(), path, module, &mut Vec::new());
                }
                at += 1;
                if group.delimiter() == Delimiter::Brace {
                    tested = false;
                }
                continue;
            }
            _ => at += 1,
        }
        if matches!(tokens.get(at.wrapping_sub(1)), Some(TokenTree::Punct(mark)) if mark.as_char() == ';')
            || matches!(token, TokenTree::Ident(word) if word == "mod" || word == "use")
        {
            tested = false;
        }
    }
}

/// Tells whether `pub` or `pub(...)` stands at the end.
fn is_public(before: &[TokenTree]) -> bool {
    let before = match before {
        [rest @ .., TokenTree::Group(group)] if group.delimiter() == Delimiter::Parenthesis => rest,
        all => all,
    };
    matches!(before.last(), Some(TokenTree::Ident(word)) if word == "pub")
}

/// The paths of a `use`, and the names that they have there; a glob has none.
fn uses(tokens: &[TokenTree]) -> Vec<(Names, Option<String>)> {
    let mut prefix = Names::new();
    let mut rest = tokens;
    loop {
        match rest {
            [TokenTree::Punct(a), TokenTree::Punct(b), ..]
                if (a.as_char(), b.as_char()) == (':', ':') =>
            {
                rest = &rest[2..];
            }
            [TokenTree::Ident(word), TokenTree::Ident(alias), ..] if word == "as" => {
                return vec![(prefix, Some(alias.to_string()))];
            }
            [TokenTree::Ident(name), ..] => {
                prefix.push(name.to_string());
                rest = &rest[1..];
            }
            [TokenTree::Group(group), ..] => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let parts = inner.split(
                    |token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ','),
                );
                return parts
                    .filter(|part| !part.is_empty())
                    .flat_map(uses)
                    .map(|(own, alias)| {
                        let own = if own == ["self"] { Vec::new() } else { own };
                        let path = [prefix.clone(), own].concat();
                        let alias = match alias.as_deref() {
                            Some("self") => path.last().cloned(),
                            _ => alias,
                        };
                        (path, alias)
                    })
                    .collect();
            }
            [TokenTree::Punct(_), ..] => return vec![(prefix, None)],
            _ => {
                let name = prefix.last().cloned();
                return vec![(prefix, name)];
            }
        }
    }
}

/// A path from the crate's root; one that begins elsewhere is left as it is, and leads nowhere.
fn absolute(taken: &[String], path: &[String], children: &[String]) -> Names {
    let mut base: Vec<String> = path.to_vec();
    let mut rest = taken;
    match taken.first().map(String::as_str) {
        Some("crate") => {
            base.clear();
            rest = &taken[1..];
        }
        Some("self") => rest = &taken[1..],
        Some("super") => {
            while let Some("super") = rest.first().map(String::as_str) {
                base.pop();
                rest = &rest[1..];
            }
        }
        Some(first) if children.iter().any(|child| child == first) => {}
        _ => return vec!["::".to_owned()],
    }
    base.extend(rest.iter().cloned());
    base
}

/// The module that has what a path names: names that are handed on are followed.
fn resolve(modules: &Modules, path: &[String], depth: usize) -> Option<Names> {
    if path.first().is_some_and(|first| first == "::") {
        return None;
    }
    let mut at = Names::new();
    for (index, name) in path.iter().enumerate() {
        let next = [at.clone(), vec![name.clone()]].concat();
        if modules.contains_key(&next) {
            at = next;
            continue;
        }
        let handed = modules.get(&at)?.handed.get(name);
        let Some(handed) = handed.filter(|_| depth < 8) else {
            break;
        };
        let onward = [handed.as_slice(), &path[index + 1..]].concat();
        return resolve(modules, &onward, depth + 1).or(Some(at));
    }
    Some(at)
}

/// The circles of a crate, each by its shortest way round.
fn circles(modules: &Modules) -> Vec<Vec<PathBuf>> {
    let arrows: BTreeMap<&Names, BTreeSet<Names>> = modules
        .iter()
        .map(|(path, module)| {
            let to = module.named.iter();
            let to = to.filter_map(|named| resolve(modules, named, 0));
            // A module's own file stands for its children.
            (path, to.filter(|to| !to.starts_with(path)).collect())
        })
        .collect();
    let mut circles = Vec::new();
    let mut seen = BTreeSet::new();
    for start in modules.keys() {
        let mut before: BTreeMap<&Names, &Names> = BTreeMap::new();
        let mut open = VecDeque::from([start]);
        while let Some(path) = open.pop_front() {
            for to in &arrows[path] {
                if to == start {
                    let mut way = vec![path];
                    while let Some(&previous) = way.last().and_then(|last| before.get(last)) {
                        way.push(previous);
                    }
                    way.reverse();
                    let members: BTreeSet<&Names> = way.iter().copied().collect();
                    if seen.insert(members) {
                        let files = way.iter().map(|path| modules[*path].file.clone());
                        circles.push(files.collect());
                    }
                    open.clear();
                    break;
                }
                if !before.contains_key(to) {
                    before.insert(to, path);
                    open.push_back(to);
                }
            }
        }
    }
    circles
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Circles of a crate of these files.
    fn of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let modules = read(&folder.path().join("lib.rs")).unwrap();
        let name = |file: &PathBuf| tree::name(folder.path(), file);
        let circles = circles(&modules);
        circles
            .iter()
            .map(|circle| circle.iter().map(name).collect())
            .collect()
    }

    #[test]
    fn files_that_name_each_other_are_a_circle() {
        let lib = ("lib.rs", "mod a; mod b;");
        let a = ("a.rs", "use crate::b::B; pub struct A;");
        let apart = ("b.rs", "pub struct B;");
        assert!(of(&[lib, a, apart]).is_empty());
        for back in [
            "use crate::a::A;",
            "use super::a::{self};",
            "fn f() { crate::a::f() }",
            "mod inner { use super::super::a::A; }",
        ] {
            assert_eq!(of(&[lib, a, ("b.rs", back)]), [["a.rs", "b.rs"]], "{back}");
        }
        let tests = "#[cfg(test)] mod tests { use crate::a::A; }";
        assert!(of(&[lib, a, ("b.rs", tests)]).is_empty());
    }

    #[test]
    fn names_are_followed_to_their_file() {
        let lib = ("lib.rs", "pub use m::B; mod m; mod c;");
        let module = ("m/mod.rs", "mod b; pub use b::B;");
        let b = ("m/b.rs", "use crate::c::C; pub struct B;");
        let c = |text| ("c.rs", text);
        let circle = [["c.rs", "m/b.rs"]];
        assert_eq!(of(&[lib, module, b, c("use crate::m::B;")]), circle);
        assert_eq!(of(&[lib, module, b, c("use crate::B as X;")]), circle);
        assert!(of(&[lib, module, b, c("pub struct C;")]).is_empty());
    }

    #[test]
    fn this_workspace_has_none() {
        check().unwrap();
    }

    #[test]
    fn children_may_name_their_module() {
        let lib = ("lib.rs", "mod m;");
        let module = ("m/mod.rs", "mod b; use b::B; pub struct M;");
        assert!(of(&[lib, module, ("m/b.rs", "use super::M; pub struct B;")]).is_empty());
    }
}
