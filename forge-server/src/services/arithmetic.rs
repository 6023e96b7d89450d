//! What `$inc`, `$mul`, `$min` and `$max` make of values of models.

use std::cmp::Ordering;

use bson::{Bson, RawBson};
use forge_core::order::compare;
use forge_core::types::Decimal;
use serde_json::{Number, Value};

use super::apply::refused;
use super::error::{ServiceError, ServiceResult};
use super::kind::{Form, Kind};

/// The new value of a field of this kind. Numbers that travel as text stay text.
///
/// # Errors
/// `BadRequest` for values that the operator does not take.
pub(super) fn computed(
    operator: &str,
    before: &Value,
    operand: &Value,
    kind: Option<&Kind>,
) -> ServiceResult<Value> {
    let picks = operator == "$min" || operator == "$max";
    match (before, kind) {
        (Value::Null, _) if picks => Ok(operand.clone()),
        (Value::String(text), Some(Kind::Text(form @ (Form::Decimal | Form::Long)))) if !picks => {
            as_text(operator, text, operand, *form)
        }
        (Value::String(_), Some(kind)) if picks && has_order(kind) => picked(operator, before, operand, kind),
        (Value::Null, _) => number(operator, &Number::from(0), operand),
        (Value::Number(before), _) => number(operator, before, operand),
        _ if picks => Err(ServiceError::bad_request(format!("has no order, which {operator} asks for"))),
        _ => Err(ServiceError::bad_request(format!("is no number, which {operator} changes"))),
    }
}

/// Whether values that are text in JSON are less and more than others.
fn has_order(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::String | Kind::Date | Kind::Text(Form::Calendar | Form::Clock | Form::Decimal | Form::Long)
    )
}

fn picked(operator: &str, before: &Value, operand: &Value, kind: &Kind) -> ServiceResult<Value> {
    let stored = |value: &Value| -> ServiceResult<RawBson> {
        let value = kind.coerce(value).map_err(ServiceError::bad_request)?;
        match value {
            Bson::Null => Err(refused(operator, "a value")),
            value => RawBson::try_from(value).map_err(|_| refused(operator, "a value")),
        }
    };
    let order = compare(stored(before)?.as_raw_bson_ref(), stored(operand)?.as_raw_bson_ref());
    let stays = order == if operator == "$min" { Ordering::Less } else { Ordering::Greater };
    Ok(if stays { before } else { operand }.clone())
}

/// `$inc` and `$mul` of numbers that are text in JSON, so that no digit is lost.
fn as_text(operator: &str, before: &str, operand: &Value, form: Form) -> ServiceResult<Value> {
    let operand = match operand {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return Err(refused(operator, "a number")),
    };
    let made = if form == Form::Long {
        let (Ok(a), Ok(b)) = (before.parse::<i64>(), operand.parse::<i64>()) else {
            return Err(refused(operator, "a whole number"));
        };
        let made = if operator == "$inc" { a.checked_add(b) } else { a.checked_mul(b) };
        made.ok_or_else(too_large)?.to_string()
    } else {
        let (Ok(a), Ok(b)) = (before.parse::<Decimal>(), operand.parse::<Decimal>()) else {
            return Err(refused(operator, "a number"));
        };
        if operator == "$inc" { a + b } else { a * b }.to_string()
    };
    Ok(made.into())
}

fn number(operator: &str, before: &Number, operand: &Value) -> ServiceResult<Value> {
    let Value::Number(operand) = operand else { return Err(refused(operator, "a number")) };
    match operator {
        "$min" | "$max" => {
            let less = before.as_f64() <= operand.as_f64();
            Ok(if less == (operator == "$min") { before } else { operand }.clone().into())
        }
        _ => match (before.as_i64(), operand.as_i64()) {
            (Some(a), Some(b)) => {
                let made = if operator == "$inc" { a.checked_add(b) } else { a.checked_mul(b) };
                made.map(Value::from).ok_or_else(too_large)
            }
            _ => {
                let (a, b) = (before.as_f64().unwrap_or(0.0), operand.as_f64().unwrap_or(0.0));
                let made = if operator == "$inc" { a + b } else { a * b };
                Number::from_f64(made).map(Value::Number).ok_or_else(too_large)
            }
        },
    }
}

fn too_large() -> ServiceError {
    ServiceError::bad_request("would be larger than numbers are")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_and_dates_have_a_least_and_a_most() {
        let earlier = json!("2026-01-02T00:00:00+02:00");
        for (kind, operator, before, operand, made) in [
            (Kind::String, "$max", json!("a"), json!("b"), json!("b")),
            (Kind::String, "$min", json!("a"), json!("b"), json!("a")),
            (Kind::Date, "$min", json!("2026-01-01T23:00:00.000Z"), earlier.clone(), earlier),
            (Kind::Text(Form::Decimal), "$max", json!("9.5"), json!("10"), json!("10")),
            (Kind::Text(Form::Long), "$min", json!("9"), json!(10), json!("9")),
            (Kind::Text(Form::Calendar), "$max", Value::Null, json!("2026-01-01"), json!("2026-01-01")),
        ] {
            assert_eq!(computed(operator, &before, &operand, Some(&kind)).unwrap(), made, "{kind:?}");
        }
    }

    #[test]
    fn numbers_that_travel_as_text_keep_their_digits() {
        let of = |form, operator: &str, before: &str, operand: Value| {
            computed(operator, &json!(before), &operand, Some(&Kind::Text(form)))
        };
        assert_eq!(of(Form::Long, "$inc", "9007199254740993", json!(1)).unwrap(), "9007199254740994");
        assert_eq!(of(Form::Decimal, "$inc", "0.1", json!("0.2")).unwrap(), "0.3");
        assert_eq!(of(Form::Decimal, "$mul", "1.5", json!(2)).unwrap(), "3.0");
        for (form, operand) in
            [(Form::Long, json!(i64::MAX)), (Form::Long, json!(0.5)), (Form::Decimal, json!("x"))]
        {
            assert!(of(form, "$inc", "1", operand).is_err());
        }
    }

    #[test]
    fn what_has_no_order_and_no_sum_is_refused() {
        for (kind, before, operand) in [
            (Kind::String, json!("a"), json!([])),
            (Kind::Date, json!("2026-01-01T00:00:00.000Z"), json!("soon")),
            (Kind::Date, json!("2026-01-01T00:00:00.000Z"), Value::Null),
            (Kind::Text(Form::Uuid), json!("a"), json!("b")),
            (Kind::Boolean, json!(true), json!(false)),
        ] {
            assert!(computed("$max", &before, &operand, Some(&kind)).is_err(), "{kind:?}");
            assert!(computed("$inc", &before, &operand, Some(&kind)).is_err(), "{kind:?}");
        }
    }
}
