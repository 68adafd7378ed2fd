//! Any body of any operation is a request or an error; an item that was read is written and read
//! back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zenobe_model::EncodedItem;
use zenobe_model::codec::ItemHeader;
use zenobe_model::operation::{GetItemResponse, Operation, Request, Response};

fuzz_target!(|data: (u8, &[u8])| {
    let (choice, body) = data;
    let operation = Operation::ALL[usize::from(choice) % Operation::ALL.len()];
    let Ok(request) = zenobe_wire::decode(operation, body) else { return };
    let Request::PutItem(put) = request else { return };
    let Ok(item) = put.item else { return };

    // What was written without a tree is what the tree is encoded to, and whole.
    let encoded = EncodedItem::encode(&item.to_item(), ItemHeader::default());
    assert_eq!(item.bytes(), encoded.bytes());
    assert!(EncodedItem::from_stored(encoded.bytes().clone()).is_ok());
    let answer = GetItemResponse { item: Some(encoded), consumed_capacity: None };
    let mut out = Vec::new();
    zenobe_wire::encode(&Response::GetItem(answer), &mut out);
    // The answer becomes a request by the name of its table.
    out.pop();
    out.extend_from_slice(br#","TableName":"abc"}"#);
    let Ok(Request::PutItem(again)) = zenobe_wire::decode(Operation::PutItem, &out) else {
        panic!("{}", String::from_utf8_lossy(&out))
    };
    assert_eq!(again.item, Ok(item));
});
