"""Checks the types of the values in a request body. Runs first, so that every later check can rely on them.

A key has the same type in all of Discord's request bodies, so one table covers them. Null is accepted everywhere except
as an item of a list.
"""

from __future__ import annotations

from typing import Any

from bot.sandbox.model.errors import FormErrors, Path

_OBJECTS = {
    *("accessory", "allowed_mentions", "author", "component", "data", "emoji", "file", "footer", "image", "media"),
    *("message_reference", "provider", "thumbnail", "video"),
}
_LISTS_OF_OBJECTS = {"attachments", "choices", "components", "embeds", "fields", "items", "options"}
_STRINGS = {
    *("content", "custom_id", "description", "filename", "icon_url", "label", "name", "placeholder", "text"),
    *("title", "url"),
}
_INTEGERS = {"color", "flags", "max_length", "max_values", "min_length", "min_values", "spacing", "style"}
_NUMBERS = {"max_value", "min_value"}
_STRINGS_OR_INTEGERS = {"nonce", "type"}
_SNOWFLAKES = {"default_member_permissions", "id", "message_id", "recipient_id"}
_LISTS_OF_SNOWFLAKES = {"roles", "users"}
_LISTS_OF_STRINGS = {"parse"}
_LISTS_OF_INTEGERS = {"channel_types", "contexts", "integration_types"}
_LISTS = _LISTS_OF_OBJECTS | _LISTS_OF_SNOWFLAKES | _LISTS_OF_STRINGS | _LISTS_OF_INTEGERS
_LOCALIZATIONS = {"description_localizations", "name_localizations"}


def check_types(body: Any, errors: FormErrors, path: Path = ()) -> None:
    """Complains about every value in a request's JSON whose type Discord does not accept for its key."""
    if isinstance(body, dict):
        for key, value in body.items():
            if value is not None and _check_key(key, value, (*path, key), errors):
                check_types(value, errors, (*path, key))
    elif isinstance(body, list):
        for index, item in enumerate(body):
            check_types(item, errors, (*path, index))


def _check_key(key: str, value: Any, path: Path, errors: FormErrors) -> bool:
    if key in _OBJECTS:
        return errors.check_type(path, value, dict, "MODEL_TYPE_CONVERT", "objects")
    if key in _STRINGS:
        return errors.check_type(path, value, str, "STRING_TYPE_CONVERT", "strings")
    if key in _INTEGERS:
        return errors.check_type(path, value, int, "NUMBER_TYPE_COERCE", "integers")
    if key in _NUMBERS:
        return errors.check_type(path, value, (int, float), "NUMBER_TYPE_COERCE", "numbers")
    if key in _STRINGS_OR_INTEGERS:
        return errors.check_type(path, value, (str, int), "BASE_TYPE_INVALID", "strings and integers")
    if key in _SNOWFLAKES:
        return _check_snowflake(value, path, errors)
    if key in _LOCALIZATIONS:
        return errors.check_type(path, value, dict, "DICT_TYPE_CONVERT", "objects") and all(
            errors.check_type((*path, locale), text, str, "STRING_TYPE_CONVERT", "strings")
            for locale, text in value.items()
        )
    if key in _LISTS:
        return errors.check_type(path, value, list, "BASE_TYPE_LIST", "lists") and all(
            _check_item(key, item, (*path, index), errors) for index, item in enumerate(value)
        )
    return True


def _check_item(key: str, item: Any, path: Path, errors: FormErrors) -> bool:
    if key in _LISTS_OF_OBJECTS:
        return errors.check_type(path, item, dict, "MODEL_TYPE_CONVERT", "objects")
    if key in _LISTS_OF_SNOWFLAKES:
        return _check_snowflake(item, path, errors)
    if key in _LISTS_OF_STRINGS:
        return errors.check_type(path, item, str, "STRING_TYPE_CONVERT", "strings")
    return errors.check_type(path, item, int, "NUMBER_TYPE_COERCE", "integers")


def _check_snowflake(value: Any, path: Path, errors: FormErrors) -> bool:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if text.isascii() and text.isdigit() and len(text) <= 20:
        return True
    errors.add(path, "NUMBER_TYPE_COERCE", f"Value {value!r} is not snowflake.")
    return False
