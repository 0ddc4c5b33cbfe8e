//! The modules of a crate as its files declare them, with what each defines, imports and names. Code
//! below `#[cfg(test)]` is left out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::{Attribute, Expr, Item, Lit, Meta};

use crate::mentions;

/// What a name in a module stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A module of the crate, by its number.
    Module(usize),
    /// Something that the module defines.
    Definition,
    /// Another name of something else.
    Import(Vec<String>),
}

/// How a path came to be in a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `use` for the module's own needs.
    Use,
    /// `pub use`, with any visibility.
    ReExport,
    /// Code.
    Code,
}

/// A path that a module names.
#[derive(Clone, Debug)]
pub struct Mention {
    pub path: Vec<String>,
    pub line: usize,
    pub form: Form,
}

/// A module of a crate.
#[derive(Debug)]
pub struct Module {
    /// The modules around it; the root has none.
    pub parent: Option<usize>,
    /// The file, relative to the root's directory.
    pub file: PathBuf,
    pub names: BTreeMap<String, Vec<Meaning>>,
    /// Modules and types of which everything is imported.
    pub globs: Vec<Vec<String>>,
    pub mentions: Vec<Mention>,
    /// Lines with an unsafe block, function, trait or implementation.
    pub unsafe_lines: Vec<usize>,
}

/// All modules of a crate; the root is the first.
#[derive(Debug)]
pub struct Modules(pub Vec<Module>);

impl Modules {
    /// Reads a crate from its root file.
    ///
    /// # Panics
    ///
    /// Where a file is missing or is not Rust.
    pub fn read(root: &Path) -> Self {
        let mut modules = Modules(Vec::new());
        let directory = root.parent().unwrap().to_owned();
        let name = root.file_name().unwrap();
        modules.file(&directory, Path::new(name), &directory, None);
        modules
    }

    /// Reads a file as a module whose children lie in a directory.
    fn file(&mut self, base: &Path, file: &Path, children: &Path, parent: Option<usize>) -> Option<usize> {
        let path = base.join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let syntax = syn::parse_file(&text)
            .unwrap_or_else(|error| panic!("{}:{}: {error}", path.display(), error.span().start().line));
        if is_test(&syntax.attrs) {
            return None;
        }
        let number = self.add(file, parent);
        self.items(base, &syntax.items, children, number);
        Some(number)
    }

    fn add(&mut self, file: &Path, parent: Option<usize>) -> usize {
        self.0.push(Module {
            parent,
            file: file.to_owned(),
            names: BTreeMap::new(),
            globs: Vec::new(),
            mentions: Vec::new(),
            unsafe_lines: Vec::new(),
        });
        self.0.len() - 1
    }

    fn items(&mut self, base: &Path, items: &[Item], children: &Path, number: usize) {
        for item in items.iter().filter(|item| !is_test(item_attributes(item))) {
            if let Item::Mod(module) = item {
                let name = module.ident.unraw().to_string();
                let below = children.join(&name);
                let child = match &module.content {
                    Some((_, items)) => {
                        let child = self.add(&self.0[number].file.clone(), Some(number));
                        self.items(base, items, &below, child);
                        Some(child)
                    }
                    None => {
                        let (path, below) = place(&module.attrs, children, &name);
                        let file = path.strip_prefix(base).unwrap_or(&path).to_owned();
                        self.file(base, &file, &below, Some(number))
                    }
                };
                if let Some(child) = child {
                    self.define(number, name, Meaning::Module(child));
                }
                continue;
            }
            for name in defined(item) {
                self.define(number, name, Meaning::Definition);
            }
            mentions::collect(item, &mut self.0[number]);
        }
    }

    fn define(&mut self, number: usize, name: String, meaning: Meaning) {
        self.0[number].names.entry(name).or_default().push(meaning);
    }
}

/// The file of `mod name;`, and where its own children lie.
fn place(attributes: &[Attribute], children: &Path, name: &str) -> (PathBuf, PathBuf) {
    let path = attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    if let Some(path) = path {
        let path = children.join(path);
        let below = path.parent().unwrap().to_owned();
        return (path, below);
    }
    let flat = children.join(format!("{name}.rs"));
    if flat.exists() {
        (flat, children.join(name))
    } else {
        (children.join(name).join("mod.rs"), children.join(name))
    }
}

/// The names that an item defines in its module.
fn defined(item: &Item) -> Vec<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        Item::Macro(item) => match &item.ident {
            Some(ident) => ident,
            None => return Vec::new(),
        },
        Item::ForeignMod(item) => {
            let names = item.items.iter().filter_map(|item| match item {
                syn::ForeignItem::Fn(item) => Some(item.sig.ident.unraw().to_string()),
                syn::ForeignItem::Static(item) => Some(item.ident.unraw().to_string()),
                _ => None,
            });
            return names.collect();
        }
        _ => return Vec::new(),
    };
    vec![ident.unraw().to_string()]
}

/// The code is for tests only: `cfg(test)`, or `cfg(all(test, ...))`.
pub fn is_test(attributes: &[Attribute]) -> bool {
    fn needs_test(tokens: TokenStream) -> bool {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match (token, tokens.peek()) {
                (TokenTree::Ident(word), Some(TokenTree::Group(group)))
                    if word == "all" && needs_test(group.stream()) =>
                {
                    return true;
                }
                (TokenTree::Ident(word), _) if word == "test" => return true,
                _ => {}
            }
        }
        false
    }
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => needs_test(list.tokens.clone()),
        Meta::Path(path) => path.is_ident("test"),
        _ => false,
    })
}

pub fn item_attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
