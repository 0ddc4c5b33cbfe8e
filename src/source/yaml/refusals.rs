//! YAML: rejected texts and their messages.

use crate::testing::read;
use crate::text::format::Format;

fn report(text: &str) -> String {
    read(Format::Yaml, text).1
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    insta::assert_snapshot!(report("\
a: 1
b: {c: 1, c: 2}
a: 2
<<: {x: 1}
? [l]
: 1
? {m: 1}
: 1
: empty
t: !foo 1
u: !!int x
v: !!seq {}
w: !!set {}
x: ! y
*k : 1
"), @r#"
    error: the key `c` is given twice
     --> input:2:11
      |
    2 | b: {c: 1, c: 2}
      |           ^ b.c
      |     - first given here

    error: merge keys (`<<`) are not supported
     --> input:4:1
      |
    4 | <<: {x: 1}
      | ^^
      |
      = help: use an alias for the whole value, or set the keys in a second file

    error: a list cannot be a key
     --> input:5:3
      |
    5 | ? [l]
      |   ^

    error: a map cannot be a key
     --> input:7:3
      |
    7 | ? {m: 1}
      |   ^
      |
      = help: a template such as `{{ name }}` needs quotes in YAML

    error: a key is missing before the colon
     --> input:9:1
      |
    9 | : empty
      | ^

    error: the tag `!foo` is not supported
      --> input:10:4
       |
    10 | t: !foo 1
       |    ^^^^^^ t
       |
       = help: text that begins with `!` needs quotes

    error: the value does not match its tag `!!int`
      --> input:11:4
       |
    11 | u: !!int x
       |    ^^^^^^^ u

    error: a map does not match its tag `!!seq`
      --> input:12:4
       |
    12 | v: !!seq {}
       |    ^^^^^^^ v

    error: the tag `!!set` is not supported
      --> input:13:4
       |
    13 | w: !!set {}
       |    ^^^^^^^ w
       |
       = help: text that begins with `!` needs quotes

    error: the tag `!` is not supported
      --> input:14:4
       |
    14 | x: ! y
       |    ^^^ x
       |
       = help: text that begins with `!` needs quotes

    error: an alias (`*name`) without its anchor (`&name`)
      --> input:15:1
       |
    15 | *k : 1
       | ^^
       |
       = help: text that begins with `*`, such as a glob, needs quotes

    11 errors in input
    "#);
}

#[test]
fn syntax_errors_are_explained() {
    let all: Vec<String> = [
        "a: 1\n\tb: 2\n",
        "a:\n  b: 1\n c: 2\n",
        "a: b: c\n",
        "name: *\n",
        "name: *cali\n",
        "a: @x\n",
        "a: `x`\n",
        "a: [1, 2\nb: 3\n",
        "a: {b: 1\n",
        "a: \"x\n",
        "a: 'x\n",
        "a\nb: 1\n",
        "a: 1\nb\n",
        "a: 1\n---\nb: 2\n",
        "- a\nb: 1\n",
        "a: %x\n",
        "a: \"\\q\"\n",
        "a: {{ b }}\n",
        "a: |\nb\n",
        "a:1\nb:2\n",
        "a: 1\n  b: 2\n",
        "a: ]\n",
        "a: &\n",
        "a: !<x\n",
        "%YAML 9.9\n---\na: 1",
        "%FOO\na: 1\n",
        "é: \"x\" y\n",
        "a: \"x\nb: \"y\"\n",
        "a:\n  - b\n \t- c\n",
        "k: [&a x]\n*a : 1\n",
    ]
    .iter()
    .map(|text| {
        format!(
            "{text}{}",
            report(text)
                .rsplit_once("\n\n")
                .map_or("no error", |(report, _)| report)
        )
    })
    .collect();
    insta::assert_snapshot!(all.join("\n\n"), @r#"
    a: 1
    	b: 2
    error: a tab where YAML requires blanks
     --> input:2:1
      |
    2 |     b: 2
      | ^
      |
      = help: YAML indents with blanks only

    a:
      b: 1
     c: 2
    error: this does not continue the map above it
     --> input:3:2
      |
    3 |  c: 2
      |  ^^
      |
      = help: the keys of one map begin in the same column

    a: b: c
    error: a `:` where no value can follow
     --> input:1:5
      |
    1 | a: b: c
      |     ^
      |
      = help: check the indentation; text that contains `: ` needs quotes

    name: *
    error: `*` and `&` begin an alias and an anchor, which need a name
     --> input:1:7
      |
    1 | name: *
      |       ^
      |
      = help: text that begins with them, such as a glob, needs quotes

    name: *cali
    error: an alias (`*name`) without its anchor (`&name`)
     --> input:1:7
      |
    1 | name: *cali
      |       ^^^^^
      |
      = help: text that begins with `*`, such as a glob, needs quotes

    a: @x
    error: text cannot begin with this character
     --> input:1:4
      |
    1 | a: @x
      |    ^^
      |
      = help: put the text into quotes

    a: `x`
    error: text cannot begin with this character
     --> input:1:4
      |
    1 | a: `x`
      |    ^^^
      |
      = help: put the text into quotes

    a: [1, 2
    b: 3
    error: a `:` where no value can follow
     --> input:2:2
      |
    2 | b: 3
      |  ^
      |
      = help: a bracket above may lack its closing one

    a: {b: 1
    error: expected `,` or `}` in a map in braces
     --> input:1:1
      |
    1 | a: {b: 1
      | ^^

    a: "x
    error: a quoted value without its closing quote
     --> input:1:4
      |
    1 | a: "x
      |    ^^

    a: 'x
    error: a quoted value without its closing quote
     --> input:1:4
      |
    1 | a: 'x
      |    ^^

    a
    b: 1
    error: a `:` where no value can follow
     --> input:2:2
      |
    2 | b: 1
      |  ^
      |
      = help: check the indentation; text that contains `: ` needs quotes

    a: 1
    b
    error: a key without a colon
     --> input:2:1
      |
    2 | b
      | ^
      |
      = help: write `key: value`, with a blank after the colon

    a: 1
    ---
    b: 2
    error: a second YAML document in one file
     --> input:2:1
      |
    2 | ---
      | ^^^
      |
      = help: put it into a file of its own: several files are layered

    - a
    b: 1
    error: this does not continue the list above it
     --> input:2:1
      |
    2 | b: 1
      | ^^
      |
      = help: the items of one list begin in the same column

    a: %x
    error: text cannot begin with this character
     --> input:1:4
      |
    1 | a: %x
      |    ^^
      |
      = help: put the text into quotes

    a: "\q"
    error: an escape that YAML does not have
     --> input:1:4
      |
    1 | a: "\q"
      |    ^^^^
      |
      = help: in single quotes a `\` is an ordinary character

    a: {{ b }}
    error: a map cannot be a key
     --> input:1:5
      |
    1 | a: {{ b }}
      |     ^^ a
      |
      = help: a template such as `{{ name }}` needs quotes in YAML

    a: |
    b
    error: a key without a colon
     --> input:2:1
      |
    2 | b
      | ^
      |
      = help: write `key: value`, with a blank after the colon

    a:1
    b:2
    no error

    a: 1
      b: 2
    error: a `:` where no value can follow
     --> input:2:4
      |
    2 |   b: 2
      |    ^
      |
      = help: check the indentation; text that contains `: ` needs quotes

    a: ]
    error: a closing bracket without its opening one
     --> input:1:4
      |
    1 | a: ]
      |    ^

    a: &
    error: `*` and `&` begin an alias and an anchor, which need a name
     --> input:1:4
      |
    1 | a: &
      |    ^
      |
      = help: text that begins with them, such as a glob, needs quotes

    a: !<x
    error: not valid YAML: while scanning a verbatim tag, did not find the expected '>'
     --> input:1:4
      |
    1 | a: !<x
      |    ^^^

    %YAML 9.9
    ---
    a: 1no error

    %FOO
    a: 1
    error: not valid YAML: did not find expected <document start>
     --> input:2:1
      |
    2 | a: 1
      | ^^

    é: "x" y
    error: text after a closing quote
     --> input:1:8
      |
    1 | é: "x" y
      |        ^

    a: "x
    b: "y"
    error: not valid YAML: invalid indentation in quoted scalar
     --> input:1:4
      |
    1 | a: "x
      |    ^^

    a:
      - b
     	- c
    error: a tab where YAML requires blanks
     --> input:3:2
      |
    3 |      - c
      |  ^
      |
      = help: YAML indents with blanks only

    k: [&a x]
    *a : 1
    error: an alias cannot be a key
     --> input:2:1
      |
    2 | *a : 1
      | ^^
    "#);
}
