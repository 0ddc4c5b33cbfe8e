//! What one item names: paths in code, in `use`, in macros and in attributes.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::visit::Visit;
use syn::{Attribute, Expr, Ident, Item, Lit, Meta, UseTree, Visibility, visit};

use crate::modules::{Form, Meaning, Mention, Module, is_test, item_attributes};

/// Adds to a module what an item of it names and imports.
pub fn collect(item: &Item, module: &mut Module) {
    let mut bound = Bindings(BTreeSet::new());
    bound.visit_item(item);
    let variables = bound.0;
    Collector { module, variables }.visit_item(item);
}

/// The variables of an item, which can have the name of a function.
struct Bindings(BTreeSet<String>);

impl<'ast> Visit<'ast> for Bindings {
    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        self.0.insert(pattern.ident.unraw().to_string());
        visit::visit_pat_ident(self, pattern);
    }
}

/// Collects what one item names.
struct Collector<'a> {
    module: &'a mut Module,
    variables: BTreeSet<String>,
}

impl Collector<'_> {
    fn mention(&mut self, path: Vec<String>, line: usize, form: Form) {
        self.module.mentions.push(Mention { path, line, form });
    }

    fn unsafe_at(&mut self, span: proc_macro2::Span) {
        self.module.unsafe_lines.push(span.start().line);
    }

    fn tree(&mut self, prefix: &[String], tree: &UseTree, form: Form) {
        let with = |ident: &Ident| [prefix, &[ident.unraw().to_string()]].concat();
        let (path, name, span) = match tree {
            UseTree::Path(path) => return self.tree(&with(&path.ident), &path.tree, form),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(prefix, tree, form);
                }
                return;
            }
            UseTree::Glob(glob) => {
                self.module.globs.push(prefix.to_vec());
                let line = glob.star_token.spans[0].start().line;
                return self.mention(prefix.to_vec(), line, form);
            }
            UseTree::Name(name) if name.ident == "self" => (
                prefix.to_vec(),
                prefix.last().cloned().unwrap_or_default(),
                name.ident.span(),
            ),
            UseTree::Name(name) => (
                with(&name.ident),
                name.ident.unraw().to_string(),
                name.ident.span(),
            ),
            UseTree::Rename(rename) => {
                let path = if rename.ident == "self" {
                    prefix.to_vec()
                } else {
                    with(&rename.ident)
                };
                (path, rename.rename.unraw().to_string(), rename.ident.span())
            }
        };
        self.mention(path.clone(), span.start().line, form);
        if name != "_" {
            let meanings = self.module.names.entry(name).or_default();
            meanings.push(Meaning::Import(path));
        }
    }

    /// The paths in what is given to a macro or an attribute: those of several words, and single words
    /// that are called or begin with a capital.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is_colon = |at: usize| {
            let joint = |at: usize, spacing: Option<Spacing>| {
                matches!(tokens.get(at), Some(TokenTree::Punct(punct))
                    if punct.as_char() == ':' && spacing.is_none_or(|spacing| punct.spacing() == spacing))
            };
            joint(at, Some(Spacing::Joint)) && joint(at + 1, None)
        };
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Literal(literal) => {
                    let literal: Lit = syn::parse_str(&literal.to_string()).unwrap();
                    // `#[serde(with = "a::b")]` is a path too.
                    if let Lit::Str(text) = literal
                        && let Ok(path) = syn::parse_str::<syn::Path>(&text.value())
                        && path.segments.len() > 1
                    {
                        self.visit_path(&path);
                    }
                }
                TokenTree::Ident(first) => {
                    let field = at > 0
                        && matches!(&tokens[at - 1], TokenTree::Punct(punct) if punct.as_char() == '.')
                        && !(at > 1
                            && matches!(&tokens[at - 2], TokenTree::Punct(punct) if punct.as_char() == '.'));
                    let line = first.span().start().line;
                    let mut path = vec![first.unraw().to_string()];
                    while is_colon(at + 1)
                        && let Some(TokenTree::Ident(next)) = tokens.get(at + 3)
                    {
                        path.push(next.unraw().to_string());
                        at += 3;
                    }
                    let called = matches!(tokens.get(at + 1), Some(TokenTree::Group(group))
                        if group.delimiter() == Delimiter::Parenthesis);
                    let capital = path[0].starts_with(char::is_uppercase);
                    if !field && (path.len() > 1 || called || capital) {
                        self.mention(path, line, Form::Code);
                    }
                }
                TokenTree::Punct(_) => {}
            }
            at += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(item_attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes: &[Attribute] = match item {
            syn::ImplItem::Const(item) => &item.attrs,
            syn::ImplItem::Fn(item) => &item.attrs,
            syn::ImplItem::Type(item) => &item.attrs,
            syn::ImplItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast syn::TraitItem) {
        let attributes: &[Attribute] = match item {
            syn::TraitItem::Const(item) => &item.attrs,
            syn::TraitItem::Fn(item) => &item.attrs,
            syn::TraitItem::Type(item) => &item.attrs,
            syn::TraitItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !is_test(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_test(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if !is_test(&field.attrs) {
            visit::visit_field_value(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        if !is_test(&variant.attrs) {
            visit::visit_variant(self, variant);
        }
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if !is_test(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let form = match item.vis {
            Visibility::Inherited => Form::Use,
            _ => Form::ReExport,
        };
        // A path that begins with `::` is one of another crate.
        let prefix: &[String] = if item.leading_colon.is_some() {
            &[String::new()]
        } else {
            &[]
        };
        self.tree(prefix, &item.tree, form);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        match &attribute.meta {
            Meta::List(list) => self.tokens(list.tokens.clone()),
            Meta::Path(_) | Meta::NameValue(_) => {}
        }
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        let is_variable = |name: &Ident| self.variables.contains(&name.unraw().to_string());
        if !path.path.get_ident().is_some_and(is_variable) {
            visit::visit_expr_path(self, path);
        }
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        // Called, it is a function more often than a variable.
        if let Expr::Path(path) = &*call.func {
            self.visit_path(&path.path);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut names: Vec<String> = Vec::new();
        if path.leading_colon.is_some() {
            names.push(String::new());
        }
        names.extend(
            path.segments
                .iter()
                .map(|segment| segment.ident.unraw().to_string()),
        );
        if let Some(first) = path.segments.first() {
            self.mention(names, first.ident.span().start().line, Form::Code);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invoked: &'ast syn::Macro) {
        visit::visit_macro(self, invoked);
        self.tokens(invoked.tokens.clone());
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.unsafe_at(block.unsafe_token.span);
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if let Some(token) = &item.unsafety {
            self.unsafe_at(token.span);
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        if let Some(token) = &item.unsafety {
            self.unsafe_at(token.span);
        }
        visit::visit_item_trait(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if let syn::Safety::Unsafe(token) = &signature.safety {
            self.unsafe_at(token.span);
        }
        visit::visit_signature(self, signature);
    }
}
