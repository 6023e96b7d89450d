//! Models as Rust source.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bson::Bson;
use forge_core::adapter::PulledFile;

use super::enums;
use super::indexes::{self, Place};
use super::infer::{self, Type};
use super::names::{self, Taken};
use super::observe::{Kind, Shape, Values};
use super::relations::{Reference, id_kind};
use super::{Source, json_of};

/// One file for each model, and one that gathers them.
pub(super) fn files(database: &str, sources: &[Source], references: &[Vec<Reference>]) -> Vec<PulledFile> {
    let mut files = Vec::with_capacity(sources.len() + 1);
    let mut gathered = format!(
        "//! Models of the database `{database}`, described from what is in it.\n//!\n//! What is guessed says so. `push --dry-run` \
         compares them with the database.\n\n"
    );
    let mut exports = String::new();
    for (at, source) in sources.iter().enumerate() {
        match Model::new(sources, at, &references[at]).text() {
            Ok(text) => {
                let (module, _) = names::identifier(&source.module);
                let _ = writeln!(gathered, "mod {module};");
                let _ = writeln!(exports, "pub use {module}::*;");
                files.push(PulledFile { name: format!("{}.rs", source.module), text });
            }
            Err(reason) => {
                let _ = writeln!(gathered, "// `{}` is not described: {reason}.", source.name);
            }
        }
    }
    files.push(PulledFile { name: "mod.rs".to_owned(), text: format!("{gathered}\n{exports}") });
    files
}

struct Model<'a> {
    sources: &'a [Source],
    source: &'a Source,
    references: &'a [Reference],
    structs: Taken,
    /// Embeds that are still to be written.
    embeds: Vec<(String, &'a Shape)>,
    /// The enums, written.
    enums: String,
}

/// A field of a struct, decided.
struct Field {
    stored: String,
    /// As it is written, and without `r#`.
    ident: (String, String),
    ty: String,
    attributes: Vec<String>,
    comments: Vec<String>,
    is_date: bool,
}

impl<'a> Model<'a> {
    fn new(sources: &'a [Source], at: usize, references: &'a [Reference]) -> Self {
        let mut structs = Taken::default();
        for source in sources {
            structs.take_struct(&source.model);
        }
        Self { sources, source: &sources[at], references, structs, embeds: Vec::new(), enums: String::new() }
    }

    fn text(mut self) -> Result<String, String> {
        if self.source.shape.objects == 0 {
            return Ok(self.empty());
        }
        let id = self.source.shape.field("_id").filter(|id| id.present == self.source.shape.objects);
        if id.is_none() {
            return Err("not all of its documents have an _id".to_owned());
        }
        let timestamps = self.has_timestamps();
        let mut idents = Taken::default();
        let mut fields = self.fields(&self.source.shape, &self.source.model.clone(), timestamps, &mut idents);
        let camel = renamed_all(&mut fields, timestamps);
        let body = fields.iter().map(written).collect::<String>() + &self.relations(&fields, &mut idents);
        let mut out = String::from("use forge::prelude::*;\n");
        for target in self.imported() {
            let _ = writeln!(out, "use super::{target};");
        }
        let _ = write!(out, "\n/// A document of `{}`.\n", self.source.name);
        if self.source.shape.overflow {
            out.push_str("///\n/// It has more fields than could be told apart.\n");
        }
        out.push_str("#[derive(Debug, Clone, Model)]\n");
        self.attributes(&fields, timestamps, &mut out);
        if camel {
            out.push_str("#[serde(rename_all = \"camelCase\")]\n");
        }
        let _ = write!(out, "pub struct {} {{\n{body}}}\n", self.source.model);
        while let Some((name, shape)) = self.embeds.pop() {
            out.push_str(&self.embed(&name, shape));
        }
        out.push_str(&self.enums);
        if self.source.is_view() {
            out.push_str(&self.pipeline());
        }
        Ok(out)
    }

    /// A collection without documents: what is known is its name.
    fn empty(&self) -> String {
        let Source { name, model, .. } = self.source;
        format!(
            "use forge::prelude::*;\n\n/// A document of `{name}`, which was empty: its fields are not known.\n\
             #[derive(Debug, Clone, Model)]\n#[model(collection = {name:?})]\npub struct {model} {{\n    #[model(id)]\n    \
             pub id: Id<{model}>,\n}}\n"
        )
    }

    fn has_timestamps(&self) -> bool {
        let shape = &self.source.shape;
        let always = |name: &str| {
            shape.field(name).is_some_and(|values| {
                values.present == shape.objects && values.known() == [Kind::Date] && !values.nullable()
            })
        };
        !self.source.is_view() && always("createdAt") && always("updatedAt")
    }

    fn fields(&mut self, shape: &'a Shape, of: &str, timestamps: bool, idents: &mut Taken) -> Vec<Field> {
        // The id has the first choice, unless the documents have another field of its usual name.
        let mut fields: Vec<Field> = Vec::with_capacity(shape.fields.len());
        let is_model = of == self.source.model;
        for (stored, values) in &shape.fields {
            if !names::is_usable(stored) {
                continue;
            }
            let is_id = is_model && stored == "_id";
            let wanted = match stored.as_str() {
                "_id" if !is_id => "inner_id".to_owned(),
                "_id" if shape.field("id").is_some() => "document_id".to_owned(),
                "_id" => "id".to_owned(),
                stored => names::snake(stored),
            };
            let ident = names::identifier(&idents.take(&wanted));
            let optional = !is_id && (values.present < shape.objects || values.nullable());
            let mut field = self.field(stored, values, ident, of, optional);
            if is_id {
                field.attributes = vec!["id".to_owned()];
                if !matches!(field.ty.as_str(), "String" | "Uuid" | "i32" | "i64")
                    && !field.ty.starts_with("Id<")
                {
                    field.ty = "forge::types::Any".to_owned();
                }
            }
            let kept = timestamps && ["createdAt", "updatedAt"].contains(&stored.as_str());
            if kept {
                field.comments.clear();
            }
            fields.push(field);
        }
        fields
    }

    fn field(
        &mut self,
        stored: &str,
        values: &'a Values,
        ident: (String, String),
        of: &str,
        optional: bool,
    ) -> Field {
        let mut comments = Vec::new();
        let mut attributes = Vec::new();
        let found = infer::of(values);
        let reference = self.reference(stored, of);
        let many = reference.is_some_and(|reference| reference.many);
        let base = match &found {
            Type::ObjectId => self.id_type(stored, of),
            Type::Plain("String" | "i32" | "i64" | "Uuid") => match (reference, enums::words(values)) {
                (Some(reference), _) => self.key_type(reference, &found),
                (None, Some(words)) if stored != "_id" => self.enumerated(of, &ident.1, stored, words),
                _ => plain(&found),
            },
            Type::Embed(shape) => {
                attributes.push("embed".to_owned());
                self.embedded(of, &ident.1, shape)
            }
            Type::List(inner, false) => match &**inner {
                Type::Embed(shape) => {
                    attributes.push("embed_many".to_owned());
                    format!("Vec<{}>", self.embedded(of, &ident.1, shape))
                }
                Type::ObjectId if many => format!("Vec<{}>", self.id_type(stored, of)),
                key => match reference {
                    Some(reference) => format!("Vec<{}>", self.key_type(reference, key)),
                    None => plain(&found),
                },
            },
            _ => plain(&found),
        };
        if let Some(why) = reason(&found) {
            comments.push(format!("Any value: {why}."));
        }
        if let Some(reference) = reference {
            comments.push(format!("Guessed: {}.", reference.evidence));
        }
        // Documents without the list refer to nothing.
        if many && optional {
            attributes.push("default".to_owned());
        }
        let is_date = base == "DateTime";
        let ty = if optional && !many { format!("Option<{base}>") } else { base };
        Field { stored: stored.to_owned(), ident, ty, attributes, comments, is_date }
    }

    fn reference(&self, stored: &str, of: &str) -> Option<&'a Reference> {
        if of != self.source.model {
            return None;
        }
        self.references.iter().find(|reference| reference.field == stored)
    }

    fn id_type(&self, stored: &str, of: &str) -> String {
        if stored == "_id" && of == self.source.model {
            return format!("Id<{}>", self.source.model);
        }
        match self.reference(stored, of) {
            Some(reference) => format!("Id<{}>", self.sources[reference.target].model),
            // The id of something that is no model here.
            None => "forge::types::Any".to_owned(),
        }
    }

    /// The type of the other's id.
    fn key_type(&self, reference: &Reference, found: &Type<'_>) -> String {
        match id_kind(&self.sources[reference.target]) {
            Some(Kind::Int) => "i32".to_owned(),
            Some(Kind::Long) => "i64".to_owned(),
            _ => plain(found),
        }
    }

    fn embedded(&mut self, of: &str, ident: &str, shape: &'a Shape) -> String {
        let name = self.structs.take_struct(&format!("{of}{}", names::pascal(&names::singular(ident))));
        self.embeds.push((name.clone(), shape));
        name
    }

    fn enumerated(&mut self, of: &str, ident: &str, stored: &str, words: &BTreeSet<String>) -> String {
        let name = self.structs.take_struct(&format!("{of}{}", names::pascal(ident)));
        self.enums.push_str(&enums::text(&name, &self.source.name, stored, words));
        name
    }

    fn embed(&mut self, name: &str, shape: &'a Shape) -> String {
        let mut idents = Taken::default();
        let mut fields = self.fields(shape, name, false, &mut idents);
        let camel = renamed_all(&mut fields, false);
        let mut out = format!("\n/// A part of `{}`.\n#[derive(Debug, Clone, Embed)]\n", self.source.name);
        if camel {
            out.push_str("#[serde(rename_all = \"camelCase\")]\n");
        }
        let body = fields.iter().map(written).collect::<String>();
        let _ = write!(out, "pub struct {name} {{\n{body}}}\n");
        out
    }

    fn relations(&self, fields: &[Field], idents: &mut Taken) -> String {
        let mut out = String::new();
        for reference in self.references {
            let Some(field) = fields.iter().find(|field| field.stored == reference.field) else { continue };
            let target = &self.sources[reference.target].model;
            let wanted = if idents.contains(&reference.relation) {
                format!("{}_document", reference.relation)
            } else {
                reference.relation.clone()
            };
            let (ident, _) = names::identifier(&idents.take(&wanted));
            let (key, kind) = (&field.ident.0, if reference.many { "references_many" } else { "belongs_to" });
            let holder = if reference.many { "HasMany" } else { "BelongsTo" };
            let _ = write!(out, "    #[model({kind}(key = {key}))]\n    pub {ident}: {holder}<{target}>,\n");
        }
        out
    }

    fn imported(&self) -> Vec<&'a str> {
        let mut targets: Vec<&str> = self
            .references
            .iter()
            .map(|reference| self.sources[reference.target].model.as_str())
            .filter(|target| *target != self.source.model)
            .collect();
        if self.source.is_view() {
            targets.extend(self.view_source().map(|source| source.model.as_str()));
        }
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    fn view_source(&self) -> Option<&'a Source> {
        let on = self.source.options.get_str("viewOn").ok()?;
        self.sources.iter().find(|source| source.name == on)
    }

    fn attributes(&self, fields: &[Field], timestamps: bool, out: &mut String) {
        let _ = writeln!(
            out,
            "#[model(collection = {:?}{})]",
            self.source.name,
            if timestamps { ", timestamps" } else { "" }
        );
        if self.source.is_view() {
            match self.view_source() {
                Some(source) => {
                    let _ = writeln!(out, "#[model(view(source = {}, pipeline = pipeline))]", source.model);
                }
                None => out.push_str("// It is a view of a collection that is not described; here it is read as a collection.\n"),
            }
        }
        if let Ok(validator) = self.source.options.get_document("validator")
            && validator.contains_key("$jsonSchema")
        {
            let is = |key: &str, word: &str| self.source.options.get_str(key).unwrap_or(word) == word;
            let flags =
                [("strict", is("validationLevel", "strict")), ("error", is("validationAction", "error"))];
            let flags: Vec<&str> = flags.iter().filter(|(_, set)| *set).map(|(flag, _)| *flag).collect();
            let flags = if flags.is_empty() { String::new() } else { format!("({})", flags.join(", ")) };
            out.push_str("// The collection has a validator of its own; `push` puts the schema of the model in its place.\n");
            let _ = writeln!(out, "#[model(json_schema{flags})]");
        }
        self.indexes(fields, out);
    }

    fn indexes(&self, fields: &[Field], out: &mut String) {
        let place = |path: &str| {
            let root = path.split('.').next().unwrap_or(path);
            match fields.iter().find(|field| field.stored == root) {
                _ if path == "$**" => Place::Inside,
                Some(field) if root == path => Place::Field(field.ident.0.clone(), field.is_date),
                Some(field) if !is_scalar(&field.ty) => Place::Inside,
                _ => Place::Unknown,
            }
        };
        for index in &self.source.indexes {
            let name = index.get_str("name").unwrap_or_default();
            if name == "_id_" {
                continue;
            }
            match indexes::attribute(&self.source.name, index, &place) {
                Ok(attribute) => _ = writeln!(out, "#[model({attribute})]"),
                Err(reason) => _ = writeln!(out, "// The index {name:?} is not described: {reason}."),
            }
        }
    }

    fn pipeline(&self) -> String {
        if self.view_source().is_none() {
            return String::new();
        }
        let stages = self.source.options.get_array("pipeline").cloned().unwrap_or_default();
        let stages = serde_json::to_string_pretty(&json_of(&Bson::Array(stages))).unwrap_or_default();
        format!(
            "\n/// The stages of the view, in extended JSON.\nfn pipeline() -> &'static str {{\n    {}\n}}\n",
            indexes::raw(&stages)
        )
    }
}

/// Whether `#[serde(rename_all = "camelCase")]` says what the stored names are; else each field says it itself.
fn renamed_all(fields: &mut [Field], timestamps: bool) -> bool {
    let kept = |field: &Field| timestamps && ["createdAt", "updatedAt"].contains(&field.stored.as_str());
    let is_id = |field: &Field| field.attributes.first().is_some_and(|attribute| attribute == "id");
    let differs = |field: &Field| field.ident.1 != field.stored;
    let named: Vec<&Field> = fields.iter().filter(|field| !kept(field) && !is_id(field)).collect();
    let camel = named.iter().any(|field| differs(field))
        && named.iter().all(|field| names::camel(&field.ident.1) == field.stored)
        // The id is shown as `id`, and the rule leaves that.
        && fields.iter().filter(|field| is_id(field)).all(|field| names::camel(&field.ident.1) == field.ident.1);
    if camel {
        return true;
    }
    for field in fields
        .iter_mut()
        .filter(|field| !(timestamps && ["createdAt", "updatedAt"].contains(&field.stored.as_str())))
    {
        if field.ident.1 != field.stored && field.stored != "_id"
            || field.stored == "_id" && field.ident.1 == "inner_id"
        {
            field.attributes.push(format!("\u{0}#[serde(rename = {:?})]", field.stored));
        }
    }
    false
}

fn written(field: &Field) -> String {
    let mut out = String::new();
    for comment in &field.comments {
        let _ = writeln!(out, "    /// {}", comment.replace(['\n', '\r'], " "));
    }
    // What is not in the namespace of models comes marked.
    let (other, model): (Vec<_>, Vec<_>) =
        field.attributes.iter().partition(|attribute| attribute.starts_with('\u{0}'));
    if !model.is_empty() {
        let list: Vec<&str> = model.iter().map(|attribute| attribute.as_str()).collect();
        let _ = writeln!(out, "    #[model({})]", list.join(", "));
    }
    for attribute in other {
        let _ = writeln!(out, "    {}", attribute.trim_start_matches('\u{0}'));
    }
    let _ = writeln!(out, "    pub {}: {},", field.ident.0, field.ty);
    out
}

/// A type without a struct of its own.
fn plain(found: &Type<'_>) -> String {
    match found {
        Type::Plain(name) => (*name).to_owned(),
        Type::ObjectId | Type::Embed(_) | Type::Any(_) => "forge::types::Any".to_owned(),
        Type::List(inner, nullable) => {
            let inner = plain(inner);
            if *nullable { format!("Vec<Option<{inner}>>") } else { format!("Vec<{inner}>") }
        }
        Type::Map(inner) => format!("std::collections::BTreeMap<String, {}>", plain(inner)),
    }
}

fn reason<'a>(found: &'a Type<'_>) -> Option<&'a str> {
    match found {
        Type::Any(why) => Some(why),
        Type::List(inner, _) | Type::Map(inner) => reason(inner),
        _ => None,
    }
}

fn is_scalar(ty: &str) -> bool {
    let inner = ty.strip_prefix("Option<").and_then(|ty| ty.strip_suffix('>')).unwrap_or(ty);
    ["String", "bool", "i32", "i64", "f64", "DateTime", "Uuid"].contains(&inner) || inner.starts_with("Id<")
}
