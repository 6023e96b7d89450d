//! From a [`Filter`] to a [`Matcher`].

use bson::{Bson, RawBson};

use super::Matcher;
use super::computed::Computed;
use super::eval::{Choices, Node, Range, Test};
use super::geo::{Centre, Shape, Zone};
use super::kind::Kind;
use super::pattern::Pattern;
use super::schema::DocumentSchema;
use crate::error::{Error, Result};
use crate::ir::{Filter, Path, Predicate};
use crate::order::Folding;
use crate::types::GeoPoint;

/// How deep conditions may nest. Evaluation recurses as deep.
const MAX_DEPTH: usize = 100;
/// The server's code for conditions that stand where they cannot.
const FAILED_TO_PARSE: i32 = 9;

/// Turns the expression of a [`Filter::Expr`] into a condition.
pub(super) type Evaluator<'e> = &'e dyn Fn(&Bson) -> Result<Computed>;

pub(super) fn compile(
    filter: &Filter,
    evaluator: Evaluator<'_>,
    folding: Option<&Folding>,
) -> Result<Matcher> {
    let mut conjuncts = Vec::new();
    flatten(filter, 0, &mut conjuncts)?;
    let mut matcher = Matcher {
        on_id: Vec::new(),
        others: Vec::new(),
        paths: Vec::new(),
        whole: false,
        equalities: Vec::new(),
    };
    // A text condition is for whoever has the index: what the others leave over is more than what it finds.
    for conjunct in conjuncts.into_iter().filter(|filter| !matches!(filter, Filter::Text(_))) {
        let (mut paths, mut whole) = (Vec::new(), false);
        let mut gathering = Gathering { paths: &mut paths, whole: &mut whole, evaluator, folding };
        let node = node(conjunct, Place::Document, 0, &mut gathering)?;
        let on_id = paths.iter().all(|path| path == "_id" || path.starts_with("_id."));
        if on_id && !whole {
            matcher.on_id.push(node);
        } else {
            matcher.others.push(node);
        }
        matcher.paths.append(&mut paths);
        matcher.whole |= whole;
        matcher.equalities.extend(equality(conjunct).filter(|_| folding.is_none()));
    }
    matcher.paths.sort_unstable();
    matcher.paths.dedup();
    Ok(matcher)
}

/// The conditions that must all hold, through nested `And`s.
fn flatten<'f>(filter: &'f Filter, depth: usize, out: &mut Vec<&'f Filter>) -> Result<()> {
    match filter {
        Filter::And(filters) => {
            check_depth(depth)?;
            filters.iter().try_for_each(|filter| flatten(filter, depth + 1, out))
        }
        Filter::All => Ok(()),
        filter => {
            out.push(filter);
            Ok(())
        }
    }
}

fn check_depth(depth: usize) -> Result<()> {
    if depth < MAX_DEPTH {
        return Ok(());
    }
    Err(Error::too_large(format!("the filter nests conditions more than {MAX_DEPTH} deep")))
}

/// The look-up that a conjunct allows, as promised by [`Matcher::equalities`].
fn equality(conjunct: &Filter) -> Option<(Path, Vec<Bson>)> {
    let Filter::Field(path, Predicate::Eq(_) | Predicate::In(_)) = conjunct else { return None };
    let values = match conjunct {
        Filter::Field(_, Predicate::Eq(value)) => std::slice::from_ref(value),
        Filter::Field(_, Predicate::In(values)) => values,
        _ => return None,
    };
    let is_number = |component: &str| component.bytes().all(|byte| byte.is_ascii_digit());
    let refused = |value: &Bson| matches!(value, Bson::Array(_) | Bson::RegularExpression(_));
    if path.split('.').any(is_number) || values.iter().any(refused) {
        return None;
    }
    Some((path.clone(), values.to_vec()))
}

/// Whether a condition is on a document or on an element of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Document,
    Element,
}

/// What is met on the way through a condition.
struct Gathering<'g> {
    paths: &'g mut Vec<Path>,
    /// Whether one is about the document as a whole.
    whole: &'g mut bool,
    evaluator: Evaluator<'g>,
    /// How strings compare, where not by their bytes.
    folding: Option<&'g Folding>,
}

/// Compiles one condition; adds the paths it depends on to those gathered.
fn node(filter: &Filter, place: Place, depth: usize, gathering: &mut Gathering<'_>) -> Result<Node> {
    check_depth(depth)?;
    let mut list = |filters: &[Filter]| -> Result<Vec<Node>> {
        filters.iter().map(|filter| node(filter, place, depth + 1, gathering)).collect()
    };
    Ok(match filter {
        Filter::All => Node::Always(true),
        Filter::Nothing => Node::Always(false),
        Filter::And(filters) => Node::And(list(filters)?),
        Filter::Or(filters) => Node::Or(list(filters)?),
        Filter::Not(inner) => Node::Not(Box::new(node(inner, place, depth + 1, gathering)?)),
        Filter::Field(path, predicate) => {
            if path.is_empty() && place == Place::Document {
                return Err(Error::internal("a filter has an empty path outside of an element condition"));
            }
            gathering.paths.push(path.clone());
            field(path, predicate, depth, gathering.folding)?
        }
        Filter::Compare(left, comparison, right) => {
            gathering.paths.extend([left.clone(), right.clone()]);
            let folding = gathering.folding.cloned();
            Node::Compare(left.as_ref().into(), *comparison, right.as_ref().into(), folding)
        }
        Filter::Expr(expression) => {
            *gathering.whole = true;
            Node::Computed((gathering.evaluator)(expression)?)
        }
        Filter::Schema(_) if place == Place::Element => {
            let text = "$jsonSchema is about a whole document, not about an element of a list";
            return Err(Error::bad_request(text).with_server_code(FAILED_TO_PARSE));
        }
        Filter::Schema(schema) => {
            *gathering.whole = true;
            Node::Fits(DocumentSchema::new(schema)?)
        }
        Filter::Text(_) => {
            return Err(Error::unsupported(
                "a text condition stands beside others, not inside of or, not and every",
            ));
        }
        Filter::Relation(relation) => {
            return Err(Error::internal(format!(
                "the relation filter on `{}` must be resolved before documents are matched",
                relation.relation
            )));
        }
    })
}

fn field(path: &Path, predicate: &Predicate, depth: usize, folding: Option<&Folding>) -> Result<Node> {
    let at = |test| Node::Field(path.as_ref().into(), test);
    let not = |node| Node::Not(Box::new(node));
    let compared = |test| at(folded(test, folding));
    let operand = |value| operand(path, value, folding);
    let range = |range, bound| -> Result<Node> { Ok(compared(Test::Range(range, operand(bound)?))) };
    let one_of = |values: &[Bson]| one_of(path, values, folding);
    Ok(match predicate {
        Predicate::Eq(value) => compared(Test::Equals(operand(value)?)),
        Predicate::Ne(value) => not(compared(Test::Equals(operand(value)?))),
        Predicate::Gt(bound) => range(Range::Greater, bound)?,
        Predicate::Gte(bound) => range(Range::GreaterOrEqual, bound)?,
        Predicate::Lt(bound) => range(Range::Less, bound)?,
        Predicate::Lte(bound) => range(Range::LessOrEqual, bound)?,
        Predicate::In(values) => one_of(values)?,
        Predicate::NotIn(values) => not(one_of(values)?),
        Predicate::Exists(true) => at(Test::Exists),
        Predicate::Exists(false) => not(at(Test::Exists)),
        Predicate::Regex { pattern, options } => at(Test::Matches(Pattern::new(path, pattern, options)?)),
        Predicate::Size(size) => {
            usize::try_from(*size).map_or(Node::Always(false), |size| at(Test::Size(size)))
        }
        Predicate::Type(codes) => at(Test::Like(Kind::Type(codes.iter().copied().collect()))),
        Predicate::Remainder { divisor: 0, .. } => {
            return Err(Error::bad_request(format!("`{path}` has no remainder of a division by 0")));
        }
        Predicate::Remainder { divisor, remainder } => {
            at(Test::Like(Kind::Remainder { divisor: *divisor, remainder: *remainder }))
        }
        Predicate::Bits(bits) => at(Test::Like(Kind::Bits(bits.clone()))),
        // Of no values, not even the empty array holds every one: such is `$all`.
        Predicate::HasEvery(values) if values.is_empty() => Node::Always(false),
        Predicate::HasEvery(values) => {
            Node::And(values.iter().map(|value| one_of(std::slice::from_ref(value))).collect::<Result<_>>()?)
        }
        Predicate::Element(filter) => at(element(filter, depth, folding)?),
        Predicate::Near { point, max_metres, min_metres } => at(Test::Within(Zone {
            centre: centre(path, *point)?,
            least: distance(path, min_metres.unwrap_or(0.0))?,
            most: distance(path, max_metres.unwrap_or(f64::INFINITY))?,
        })),
        Predicate::NearOnPlane { point, max, min } => at(Test::Within(Zone {
            centre: Centre::Plane(*point),
            least: distance(path, min.unwrap_or(0.0))?,
            most: distance(path, max.unwrap_or(f64::INFINITY))?,
        })),
        Predicate::WithinCircle { centre, metres } => {
            at(Test::Meets(Shape::Round(place(path, *centre)?, distance(path, *metres)?)))
        }
        Predicate::Within(area) => at(Test::Meets(Shape::inside_of(area))),
        Predicate::Intersects(geometry) => at(Test::Meets(Shape::touching(geometry))),
    })
}

fn element(filter: &Filter, depth: usize, folding: Option<&Folding>) -> Result<Test> {
    let mut paths = Vec::new();
    let refuse = |_: &Bson| Err(Error::bad_request("an expression cannot stand in a condition on elements"));
    let mut gathering = Gathering { paths: &mut paths, whole: &mut false, evaluator: &refuse, folding };
    let node = node(filter, Place::Element, depth + 1, &mut gathering)?;
    // A condition that names fields, or nothing at all, is one on sub-documents.
    let documents_only = paths.is_empty() || paths.iter().any(|path| !path.is_empty());
    Ok(Test::Element { node: Box::new(node), documents_only })
}

/// A test of values as they compare.
fn folded(test: Test, folding: Option<&Folding>) -> Test {
    match folding {
        Some(folding) => Test::Folded(folding.clone(), Box::new(test)),
        None => test,
    }
}

fn operand(path: &str, value: &Bson, folding: Option<&Folding>) -> Result<RawBson> {
    if matches!(value, Bson::Undefined) {
        return Err(Error::bad_request(format!(
            "`{path}` cannot be compared with undefined; compare it with null"
        )));
    }
    let raw = RawBson::try_from(value.clone()).map_err(|source| {
        Error::bad_request(format!("`{path}` is compared with a value that BSON cannot hold: {source}"))
    })?;
    Ok(folding.and_then(|folding| folding.value(raw.as_raw_bson_ref())).unwrap_or(raw))
}

/// One of some values, or what one of some patterns finds: patterns look at strings as they are.
fn one_of(path: &Path, values: &[Bson], folding: Option<&Folding>) -> Result<Node> {
    let at = |test| Node::Field(path.as_ref().into(), test);
    let patterns = values.iter().filter_map(|value| match value {
        Bson::RegularExpression(regex) => {
            Some(Pattern::new(path, regex.pattern.as_str(), regex.options.as_str()))
        }
        _ => None,
    });
    let patterns = patterns.collect::<Result<Vec<_>>>()?;
    let plain = values.iter().filter(|value| !matches!(value, Bson::RegularExpression(_)));
    let values = plain.map(|value| operand(path, value, folding)).collect::<Result<_>>()?;
    if folding.is_none() {
        return Ok(at(Test::OneOf(Choices::new(values, patterns))));
    }
    let values = at(folded(Test::OneOf(Choices::new(values, Vec::new())), folding));
    Ok(Node::Or(vec![values, at(Test::OneOf(Choices::new(Vec::new(), patterns)))]))
}

fn centre(path: &str, point: [f64; 2]) -> Result<Centre> {
    place(path, point).map(Centre::Sphere)
}

fn place(path: &str, [longitude, latitude]: [f64; 2]) -> Result<GeoPoint> {
    let point = GeoPoint::new(longitude, latitude);
    point.map_err(|error| error.context(format_args!("the point near `{path}`")))
}

fn distance(path: &str, distance: f64) -> Result<f64> {
    if distance >= 0.0 {
        return Ok(distance);
    }
    Err(Error::bad_request(format!("the distance of `{path}` is {distance}; it must be at least 0")))
}
