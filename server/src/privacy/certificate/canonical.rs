//! One way to write a JSON value: what RFC 8785 (JCS) writes, for values whose numbers are whole.
//!
//! No blanks, fields in the order of their names, numbers without fraction and exponent, in texts
//! only what must be escaped. Field names are ASCII, so that the order of their bytes is that of
//! RFC 8785.

use serde_json::Value;

/// The greatest number that every reader of JSON has exactly (RFC 8785, 3.2.2.3).
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// The text; `None` where a number is no whole one up to [`NUMBER_MAX`], or a name not ASCII.
pub(super) fn write(value: &Value) -> Option<String> {
    let mut text = String::new();
    put(value, &mut text)?;
    Some(text)
}

fn put(value: &Value, into: &mut String) -> Option<()> {
    match value {
        Value::Null => into.push_str("null"),
        Value::Bool(is) => into.push_str(if *is { "true" } else { "false" }),
        Value::Number(number) => {
            let number = number.as_u64().filter(|number| *number <= NUMBER_MAX)?;
            into.push_str(&number.to_string());
        }
        Value::String(_) => into.push_str(&value.to_string()),
        Value::Array(items) => {
            into.push('[');
            for (nth, item) in items.iter().enumerate() {
                if nth > 0 {
                    into.push(',');
                }
                put(item, into)?;
            }
            into.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| name.as_bytes());
            into.push('{');
            for (nth, (name, value)) in fields.into_iter().enumerate() {
                if !name.is_ascii() {
                    return None;
                }
                if nth > 0 {
                    into.push(',');
                }
                into.push_str(&Value::String(name.clone()).to_string());
                into.push(':');
                put(value, into)?;
            }
            into.push('}');
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::write;

    #[test]
    fn a_value_is_written_as_rfc_8785_writes_it() {
        let value = json!({
            "b": [1, 0, true, null], "a": "\u{20ac}$\u{f}\nA'B\"\\\"/\u{7f}", "aa": {}, "B": 9_007_199_254_740_991_u64 });
        assert_eq!(
            write(&value).unwrap(),
            "{\"B\":9007199254740991,\"a\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\"/\u{7f}\",\"aa\":{},\"b\":[1,0,true,null]}"
        );
        for wrong in
            [json!(1.5), json!(-1), json!(9_007_199_254_740_992_u64), json!({ "\u{e4}": 1 })]
        {
            assert_eq!(write(&wrong), None, "{wrong}");
        }
    }
}
