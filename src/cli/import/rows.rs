//! Lists of files as they are found: JSON Lines, JSON, CSV. Every row becomes an object; what its fields mean is for others
//! to say.

use std::path::Path;

use serde_json::{Map, Value};

/// One file of a list.
pub(super) type Row = Map<String, Value>;

/// Reads a whole list; what is wrong with it is told with its line.
pub(super) fn read(path: &Path) -> Result<Vec<Row>, String> {
    let named = |why: String| format!("{}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    let text = text.trim_start_matches('\u{FEFF}');
    let end = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
    let rows = match end.as_deref() {
        Some("csv") => by_commas(text),
        Some("json") => of_json(text),
        _ => by_lines(text),
    };
    rows.map_err(named)
}

fn by_lines(text: &str) -> Result<Vec<Row>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let rows = lines.map(|(at, line)| match serde_json::from_str(line) {
        Ok(Value::Object(row)) => Ok(row),
        Ok(_) => Err(format!("line {} is no JSON object", at + 1)),
        Err(error) => Err(format!("line {}: {error}", at + 1)),
    });
    rows.collect()
}

/// A list, or an answer that holds one: `{"items": […]}`, also below `data`.
fn of_json(text: &str) -> Result<Vec<Row>, String> {
    let whole: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let found = match &whole {
        Value::Array(_) => Some(&whole),
        _ => whole.pointer("/items").or_else(|| whole.pointer("/data/items")),
    };
    let list = found.and_then(Value::as_array).ok_or("it holds no list of files")?;
    let rows = list.iter().enumerate().map(|(at, row)| match row {
        Value::Object(row) => Ok(row.clone()),
        _ => Err(format!("item {at} of the list is no object")),
    });
    rows.collect()
}

/// The first row names the columns. Cells that are empty say nothing.
fn by_commas(text: &str) -> Result<Vec<Row>, String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers().map_err(|error| error.to_string())?.clone();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let cells = names.iter().zip(&record).filter(|(_, cell)| !cell.is_empty());
        rows.push(cells.map(|(name, cell)| (name.to_owned(), Value::from(cell))).collect());
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_list_is_read_out_of_every_form() {
        let folder = tempfile::tempdir().unwrap();
        let expected = json!([{ "id": "1", "name": "a, \"b\".txt" }, { "id": "2" }]);
        let lines = "\u{FEFF}{\"id\":\"1\",\"name\":\"a, \\\"b\\\".txt\"}\n\n{\"id\":\"2\"}\n";
        for (name, text) in [
            ("a.jsonl", lines.to_owned()),
            ("a", lines.to_owned()),
            ("a.json", expected.to_string()),
            ("b.json", json!({ "items": expected, "pagination": {} }).to_string()),
            (
                "c.json",
                json!({ "success": true, "data": { "items": expected } }).to_string(),
            ),
            ("a.CSV", "id,name\r\n1,\"a, \"\"b\"\".txt\"\r\n2,\r\n".to_owned()),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            assert_eq!(json!(read(&path).unwrap()), expected, "{name}");
        }
        for (name, text, told) in [
            ("a.jsonl", "{}\n[]\n", "line 2"),
            ("a.jsonl", "{}\n\n{\n", "line 3"),
            ("a.json", "{\"files\":[]}", "no list"),
            ("a.json", "[1]", "item 0"),
            ("a.csv", "a,b\n1\n", "field"),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
