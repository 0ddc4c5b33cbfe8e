//! What a path names: followed through modules, imports and re-exports to where it is defined.

use std::collections::BTreeSet;

use crate::modules::{Meaning, Modules};

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Module(usize),
    /// A definition in a module.
    Definition(usize, String),
    /// A path of another crate, or a name that nothing here defines.
    External(Vec<String>),
}

/// Imports that are being followed, so that one that leads to itself ends.
type Following = BTreeSet<(usize, Vec<String>)>;

impl Modules {
    /// All that a path in a module can mean: a name can be a module and a function at once.
    pub fn resolve(&self, module: usize, path: &[String]) -> BTreeSet<Target> {
        self.follow(module, path, &mut Following::new())
    }

    fn follow(&self, module: usize, path: &[String], following: &mut Following) -> BTreeSet<Target> {
        let external = || BTreeSet::from([Target::External(path.to_vec())]);
        let Some((first, mut rest)) = path.split_first() else {
            return BTreeSet::from([Target::Module(module)]);
        };
        let mut targets = match first.as_str() {
            "" => return BTreeSet::from([Target::External(rest.to_vec())]),
            "Self" => return BTreeSet::new(),
            "crate" => BTreeSet::from([Target::Module(0)]),
            "self" => BTreeSet::from([Target::Module(module)]),
            "super" => {
                let mut at = self.0[module].parent.unwrap_or(0);
                while let Some((next, after)) = rest.split_first()
                    && next == "super"
                {
                    at = self.0[at].parent.unwrap_or(0);
                    rest = after;
                }
                BTreeSet::from([Target::Module(at)])
            }
            name => self.lookup(module, name, following),
        };
        if targets.is_empty() {
            return external();
        }
        for name in rest {
            targets = targets
                .into_iter()
                .flat_map(|target| match target {
                    Target::Module(at) => match self.lookup(at, name, following) {
                        // A macro may define it: it belongs to the module at least.
                        none if none.is_empty() => BTreeSet::from([Target::Definition(at, name.clone())]),
                        found => found,
                    },
                    // A variant, or a function of a type.
                    Target::Definition(..) => BTreeSet::from([target]),
                    Target::External(mut path) => {
                        path.push(name.clone());
                        BTreeSet::from([Target::External(path)])
                    }
                })
                .collect();
        }
        targets
    }

    /// All that a name in a module means.
    fn lookup(&self, module: usize, name: &str, following: &mut Following) -> BTreeSet<Target> {
        let mut found = BTreeSet::new();
        for meaning in self.0[module].names.get(name).into_iter().flatten() {
            match meaning {
                Meaning::Module(number) => {
                    found.insert(Target::Module(*number));
                }
                Meaning::Definition => {
                    found.insert(Target::Definition(module, name.to_owned()));
                }
                Meaning::Import(path) => found.extend(self.import(module, path, following)),
            }
        }
        if found.is_empty() {
            for glob in &self.0[module].globs {
                for target in self.import(module, glob, following) {
                    if let Target::Module(at) = target
                        && following.insert((at, vec![name.to_owned()]))
                    {
                        found.extend(self.lookup(at, name, following));
                        following.remove(&(at, vec![name.to_owned()]));
                    }
                }
            }
        }
        found
    }

    fn import(&self, module: usize, path: &[String], following: &mut Following) -> BTreeSet<Target> {
        let step = (module, path.to_vec());
        if !following.insert(step.clone()) {
            return BTreeSet::new();
        }
        let found = self.follow(module, path, following);
        following.remove(&step);
        found
    }

    /// A module lies inside another one.
    pub fn is_below(&self, module: usize, above: usize) -> bool {
        let mut at = self.0[module].parent;
        while let Some(number) = at {
            if number == above {
                return true;
            }
            at = self.0[number].parent;
        }
        false
    }
}
