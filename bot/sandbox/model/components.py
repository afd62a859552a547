"""Checks components in messages and modals by Discord's rules, and serializes them as it does.

Source: "Component Reference" in Discord's documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bot.sandbox.model.errors import JSON, FormErrors, Path

ACTION_ROW, BUTTON, STRING_SELECT, TEXT_INPUT = 1, 2, 3, 4
USER_SELECT, ROLE_SELECT, MENTIONABLE_SELECT, CHANNEL_SELECT = 5, 6, 7, 8
SECTION, TEXT_DISPLAY, THUMBNAIL, MEDIA_GALLERY, FILE, SEPARATOR, CONTAINER = 9, 10, 11, 12, 13, 14, 17
LABEL, FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX = 18, 19, 21, 22, 23

SELECTS = {STRING_SELECT, USER_SELECT, ROLE_SELECT, MENTIONABLE_SELECT, CHANNEL_SELECT}
LINK_STYLE, PREMIUM_STYLE = 5, 6

MAX_ROWS = 5
MAX_COMPONENTS_V2 = 40
MAX_TEXT_V2 = 4000
MAX_OPTIONS = 25
MAX_BOXES = 10

IN_MESSAGE_V2 = {ACTION_ROW, SECTION, TEXT_DISPLAY, MEDIA_GALLERY, FILE, SEPARATOR, CONTAINER}
IN_CONTAINER = IN_MESSAGE_V2 - {CONTAINER}
IN_MODAL = {ACTION_ROW, LABEL, TEXT_DISPLAY}
IN_LABEL = SELECTS | {TEXT_INPUT, FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX}


def walk(components: Any, path: Path = ("components",)) -> Iterator[tuple[Path, JSON]]:
    """Yields every component with its path, parents before their children."""
    if not isinstance(components, list):
        return
    for index, component in enumerate(components):
        if isinstance(component, dict):
            yield from _walk_one(component, (*path, index))


def _walk_one(component: JSON, path: Path) -> Iterator[tuple[Path, JSON]]:
    yield path, component
    yield from walk(component.get("components"), (*path, "components"))
    for key in ("accessory", "component"):
        if isinstance(component.get(key), dict):
            yield from _walk_one(component[key], (*path, key))


def check_in_message(components: Any, v2: bool, errors: FormErrors) -> None:
    """Complains about what Discord refuses in a message; `v2` says whether the message has that flag."""
    if not errors.check_type(("components",), components, list, "BASE_TYPE_LIST", "lists"):
        return
    everything = list(walk(components))
    if v2:
        if len(everything) > MAX_COMPONENTS_V2:
            complaint = f"A message has at most {MAX_COMPONENTS_V2} components, and this one has {len(everything)}."
            errors.add(("components",), "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", complaint)
        text = sum(len(str(component.get("content") or "")) for _, component in everything)
        if text > MAX_TEXT_V2:
            complaint = f"The text of all components together has at most {MAX_TEXT_V2} characters, not {text}."
            errors.add(("components",), "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED", complaint)
    elif len(components) > MAX_ROWS:
        errors.add(("components",), "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {MAX_ROWS} in length.")
    _check_children(components, IN_MESSAGE_V2 if v2 else {ACTION_ROW}, ("components",), errors)
    _check_each(everything, errors)


def check_modal(data: JSON, errors: FormErrors) -> None:
    """Complains about what Discord refuses in a modal (`data` of a callback of type 9)."""
    at: Path = ("data",)
    for key, max_length in (("custom_id", 100), ("title", 45)):
        if errors.check_type((*at, key), data.get(key), str, "BASE_TYPE_REQUIRED", "strings"):
            errors.check_length((*at, key), data[key], max_length, 1)
    components = data.get("components")
    if not errors.check_type((*at, "components"), components, list, "BASE_TYPE_REQUIRED", "lists"):
        return
    errors.check_length((*at, "components"), components, 5, 1)
    _check_children(components, IN_MODAL, (*at, "components"), errors)
    _check_each(list(walk(components, (*at, "components"))), errors)


def _check_children(components: Any, allowed: set[int], path: Path, errors: FormErrors) -> None:
    for index, component in enumerate(components if isinstance(components, list) else []):
        kind = component.get("type") if isinstance(component, dict) else None
        if kind not in allowed:
            choices = ", ".join(map(str, sorted(allowed)))
            code = "UNION_TYPE_CHOICES"
            errors.add((*path, index, "type"), code, f'Value of field "type" must be one of ({choices}), not {kind}.')


def _check_each(everything: list[tuple[Path, JSON]], errors: FormErrors) -> None:
    custom_ids: set[str] = set()
    ids: set[int] = set()
    for path, component in everything:
        check = _RULES.get(component.get("type", 0))
        if check is not None:
            check(component, path, errors)
        custom_id = component.get("custom_id")
        if custom_id is not None:
            if custom_id in custom_ids:
                complaint = "Component custom id cannot be duplicated"
                errors.add((*path, "custom_id"), "COMPONENT_CUSTOM_ID_DUPLICATED", complaint)
            custom_ids.add(custom_id)
        if component.get("id"):
            if component["id"] in ids:
                errors.add((*path, "id"), "COMPONENT_ID_DUPLICATED", "Component id cannot be duplicated")
            ids.add(component["id"])


def _check_custom_id(component: JSON, path: Path, errors: FormErrors) -> None:
    if errors.check_type((*path, "custom_id"), component.get("custom_id"), str, "BASE_TYPE_REQUIRED", "strings"):
        errors.check_length((*path, "custom_id"), component["custom_id"], 100, 1)


def _check_row(row: JSON, path: Path, errors: FormErrors) -> None:
    children = row.get("components")
    if not errors.check_type((*path, "components"), children, list, "BASE_TYPE_REQUIRED", "lists"):
        return
    assert isinstance(children, list)
    kinds = [child.get("type") if isinstance(child, dict) else None for child in children]
    at = (*path, "components")
    if not 1 <= len(children) <= 5:
        errors.add(at, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
    elif any(kind != BUTTON for kind in kinds) and len(children) > 1:
        errors.add(at, "COMPONENT_LAYOUT_WIDTH_EXCEEDED", "A row with a select or a text input holds nothing else.")
    _check_children(children, SELECTS | ({TEXT_INPUT} if path[0] == "data" else {BUTTON}), at, errors)


def _check_button(button: JSON, path: Path, errors: FormErrors) -> None:
    style = button.get("style")
    if not errors.check_type((*path, "style"), style, int, "BASE_TYPE_REQUIRED", "integers"):
        return
    errors.check_length((*path, "label"), button.get("label"), 80)
    if style not in range(1, 7):
        errors.add((*path, "style"), "BASE_TYPE_CHOICES", "Value must be one of (1, 2, 3, 4, 5, 6).")
    elif style == LINK_STYLE:
        if not button.get("url"):
            errors.add((*path, "url"), "BUTTON_COMPONENT_URL_REQUIRED", "A url is required")
        if button.get("custom_id"):
            complaint = "A custom id and url cannot both be specified"
            errors.add(path, "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE", complaint)
    elif style != PREMIUM_STYLE:
        _check_custom_id(button, path, errors)
        if button.get("url"):
            complaint = "A custom id and url cannot both be specified"
            errors.add(path, "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE", complaint)
    if style != PREMIUM_STYLE and not button.get("label") and not button.get("emoji"):
        errors.add(path, "BUTTON_COMPONENT_LABEL_OR_EMOJI_REQUIRED", "A button needs a label or an emoji.")


def _check_select(select: JSON, path: Path, errors: FormErrors) -> None:
    _check_custom_id(select, path, errors)
    errors.check_length((*path, "placeholder"), select.get("placeholder"), 150)
    minimum, maximum = _min_values(select), _max_values(select)
    if not 0 <= minimum <= MAX_OPTIONS:
        errors.add((*path, "min_values"), "NUMBER_TYPE_MAX", f"Must be between 0 and {MAX_OPTIONS}.")
    if not 1 <= maximum <= MAX_OPTIONS or maximum < minimum:
        complaint = f"Must be between 1 and {MAX_OPTIONS} and not below min_values."
        errors.add((*path, "max_values"), "NUMBER_TYPE_MAX", complaint)


def _check_string_select(select: JSON, path: Path, errors: FormErrors) -> None:
    _check_select(select, path, errors)
    options = _check_options(select, path, errors, minimum=1, maximum=MAX_OPTIONS)
    if options is not None and _max_values(select) > len(options) >= 1:
        complaint = f"There are {len(options)} options, so at most {len(options)} values can be chosen."
        errors.add((*path, "max_values"), "SELECT_COMPONENT_MAX_VALUES_TOO_LARGE", complaint)
    defaults = sum(bool(option.get("default")) for option in options or [])
    if defaults > _max_values(select):
        errors.add((*path, "options"), "SELECT_COMPONENT_TOO_MANY_DEFAULTS", "More defaults than max_values allow.")


def _check_options(component: JSON, path: Path, errors: FormErrors, minimum: int, maximum: int) -> list[JSON] | None:
    at = (*path, "options")
    options = component.get("options")
    if not errors.check_type(at, options, list, "BASE_TYPE_REQUIRED", "lists"):
        return None
    assert isinstance(options, list)
    if not minimum <= len(options) <= maximum:
        errors.add(at, "BASE_TYPE_BAD_LENGTH", f"Must be between {minimum} and {maximum} in length.")
    values: set[str] = set()
    for index, option in enumerate(options):
        for key in ("label", "value"):
            if errors.check_type((*at, index, key), option.get(key), str, "BASE_TYPE_REQUIRED", "strings"):
                errors.check_length((*at, index, key), option[key], 100, 1)
        errors.check_length((*at, index, "description"), option.get("description"), 100)
        if option.get("value") in values:
            complaint = "The specified option value is already used"
            errors.add((*at, index, "value"), "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", complaint)
        values.add(str(option.get("value")))
    return options


def _check_radio_group(group: JSON, path: Path, errors: FormErrors) -> None:
    _check_custom_id(group, path, errors)
    options = _check_options(group, path, errors, minimum=2, maximum=MAX_BOXES) or []
    if sum(bool(option.get("default")) for option in options) > 1:
        complaint = "Only one option of a radio group is chosen."
        errors.add((*path, "options"), "RADIO_GROUP_TOO_MANY_DEFAULTS", complaint)


def _check_checkbox_group(group: JSON, path: Path, errors: FormErrors) -> None:
    _check_custom_id(group, path, errors)
    options = _check_options(group, path, errors, minimum=1, maximum=MAX_BOXES) or []
    if not 0 <= _min_values(group) <= MAX_BOXES:
        errors.add((*path, "min_values"), "NUMBER_TYPE_MAX", f"Must be between 0 and {MAX_BOXES}.")
    if options and not max(1, _min_values(group)) <= _max_values(group) <= len(options):
        complaint = f"Must be between 1 and the {len(options)} options, and not below min_values."
        errors.add((*path, "max_values"), "NUMBER_TYPE_MAX", complaint)
    if sum(bool(option.get("default")) for option in options) > _max_values(group):
        complaint = "More defaults than max_values allow."
        errors.add((*path, "options"), "CHECKBOX_GROUP_TOO_MANY_DEFAULTS", complaint)


def _check_text_input(text_input: JSON, path: Path, errors: FormErrors) -> None:
    _check_custom_id(text_input, path, errors)
    if text_input.get("style") not in (1, 2):
        errors.add((*path, "style"), "BASE_TYPE_CHOICES", "Value must be one of (1, 2).")
    in_label = path[-1] == "component"
    if in_label and text_input.get("label"):
        errors.add((*path, "label"), "COMPONENT_LABEL_NOT_ALLOWED", "In a Label the text input has none of its own.")
    elif not in_label:
        label = text_input.get("label")
        if errors.check_type((*path, "label"), label, str, "BASE_TYPE_REQUIRED", "strings"):
            errors.check_length((*path, "label"), label, 45, 1)
    errors.check_length((*path, "value"), text_input.get("value"), 4000)
    errors.check_length((*path, "placeholder"), text_input.get("placeholder"), 100)
    minimum, maximum = text_input.get("min_length") or 0, text_input.get("max_length") or 4000
    if not 0 <= minimum <= maximum <= 4000:
        complaint = "min_length is at most max_length, and both are at most 4000."
        errors.add((*path, "min_length"), "NUMBER_TYPE_MAX", complaint)
    elif text_input.get("value") and not minimum <= len(text_input["value"]) <= maximum:
        complaint = f"The value's length must be between {minimum} and {maximum}."
        errors.add((*path, "value"), "BASE_TYPE_BAD_LENGTH", complaint)


def _check_label(label: JSON, path: Path, errors: FormErrors) -> None:
    if errors.check_type((*path, "label"), label.get("label"), str, "BASE_TYPE_REQUIRED", "strings"):
        errors.check_length((*path, "label"), label["label"], 45, 1)
    errors.check_length((*path, "description"), label.get("description"), 100)
    inner = label.get("component")
    if not isinstance(inner, dict) or inner.get("type") not in IN_LABEL:
        errors.add((*path, "component"), "BASE_TYPE_REQUIRED", "A Label holds one input.")


def _check_file_upload(upload: JSON, path: Path, errors: FormErrors) -> None:
    _check_custom_id(upload, path, errors)
    if not 0 <= _min_values(upload) <= 10 or not 1 <= _max_values(upload) <= 10:
        errors.add((*path, "max_values"), "NUMBER_TYPE_MAX", "At maximum 10 files can be asked for.")


def _check_section(section: JSON, path: Path, errors: FormErrors) -> None:
    at = (*path, "components")
    texts = section.get("components")
    if errors.check_type(at, texts, list, "BASE_TYPE_REQUIRED", "lists"):
        errors.check_length(at, texts, 3, 1)
        _check_children(texts, {TEXT_DISPLAY}, at, errors)
    accessory = section.get("accessory")
    if not isinstance(accessory, dict) or accessory.get("type") not in (BUTTON, THUMBNAIL):
        errors.add((*path, "accessory"), "BASE_TYPE_REQUIRED", "A Section has a Button or a Thumbnail beside it.")


def _check_text_display(text: JSON, path: Path, errors: FormErrors) -> None:
    if errors.check_type((*path, "content"), text.get("content"), str, "BASE_TYPE_REQUIRED", "strings"):
        errors.check_length((*path, "content"), text["content"], MAX_TEXT_V2, 1)


def _check_gallery(gallery: JSON, path: Path, errors: FormErrors) -> None:
    items = gallery.get("items")
    at = (*path, "items")
    if not errors.check_type(at, items, list, "BASE_TYPE_REQUIRED", "lists"):
        return
    assert isinstance(items, list)
    errors.check_length(at, items, 10, 1)
    for index, item in enumerate(items):
        _check_media(item.get("media"), (*at, index, "media"), errors)
        errors.check_length((*at, index, "description"), item.get("description"), 1024)


def _check_thumbnail(thumbnail: JSON, path: Path, errors: FormErrors) -> None:
    _check_media(thumbnail.get("media"), (*path, "media"), errors)


def _check_file(file: JSON, path: Path, errors: FormErrors) -> None:
    _check_media(file.get("file"), (*path, "file"), errors)


def _check_media(media: Any, path: Path, errors: FormErrors) -> None:
    url = media.get("url") if isinstance(media, dict) else None
    if not isinstance(url, str):
        errors.add((*path, "url"), "BASE_TYPE_REQUIRED", "This field is required")
    elif not url.startswith(("attachment://", "http://", "https://")):
        complaint = "Scheme must be one of ('http', 'https', 'attachment')."
        errors.add((*path, "url"), "URL_TYPE_INVALID_SCHEME", complaint)


def _check_container(container: JSON, path: Path, errors: FormErrors) -> None:
    inner = container.get("components")
    if errors.check_type((*path, "components"), inner, list, "BASE_TYPE_REQUIRED", "lists"):
        errors.check_length((*path, "components"), inner, MAX_COMPONENTS_V2, 1)
        _check_children(inner, IN_CONTAINER, (*path, "components"), errors)


_RULES: dict[int, Callable[[JSON, Path, FormErrors], None]] = {
    ACTION_ROW: _check_row,
    BUTTON: _check_button,
    STRING_SELECT: _check_string_select,
    TEXT_INPUT: _check_text_input,
    USER_SELECT: _check_select,
    ROLE_SELECT: _check_select,
    MENTIONABLE_SELECT: _check_select,
    CHANNEL_SELECT: _check_select,
    SECTION: _check_section,
    TEXT_DISPLAY: _check_text_display,
    THUMBNAIL: _check_thumbnail,
    MEDIA_GALLERY: _check_gallery,
    FILE: _check_file,
    CONTAINER: _check_container,
    LABEL: _check_label,
    FILE_UPLOAD: _check_file_upload,
    RADIO_GROUP: _check_radio_group,
    CHECKBOX_GROUP: _check_checkbox_group,
    CHECKBOX: _check_custom_id,
}


def _min_values(select: JSON) -> int:
    return 1 if select.get("min_values") is None else int(select["min_values"])


def _max_values(select: JSON) -> int:
    if select.get("max_values") is not None:
        return int(select["max_values"])
    return len(select["options"]) if select.get("type") == CHECKBOX_GROUP else 1


def value_limits(select: JSON) -> tuple[int, int]:
    """The minimum and maximum number of values to choose. The minimum is 0 with `required: false` (in modals)."""
    return (0 if select.get("required") is False else _min_values(select)), _max_values(select)


def references(components: list[JSON]) -> set[str]:
    """The names of the files that these components refer to as `attachment://name`."""
    found = set()
    for _, component in walk(components):
        media = [component.get("media"), component.get("file")]
        media += [item.get("media") for item in component.get("items") or []]
        for one in media:
            if isinstance(one, dict) and str(one.get("url", "")).startswith("attachment://"):
                found.add(one["url"].removeprefix("attachment://"))
    return found


def serialize(components: list[JSON], media: Callable[[JSON], JSON]) -> list[JSON]:
    """The components as Discord returns them: numbered, with defaults filled in and media resolved by `media`."""
    taken = {component["id"] for _, component in walk(components) if component.get("id")}
    numbers = (number for number in range(1, 10_000) if number not in taken)

    def write(component: JSON) -> JSON:
        kind = component["type"]
        result: JSON = {key: value for key, value in component.items() if value is not None}
        result["id"] = component.get("id") or next(numbers)
        if (emoji := component.get("emoji")) is not None:  # a Unicode emoji has a name but no id
            result["emoji"] = {key: value for key, value in emoji.items() if value is not None}
        if "components" in component:
            result["components"] = [write(child) for child in component["components"]]
        for key in ("accessory", "component"):
            if key in component:
                result[key] = write(component[key])
        if kind in SELECTS and component.get("default_values"):
            result["default_values"] = [value | {"id": str(value["id"])} for value in component["default_values"]]
        if kind in SELECTS | {CHECKBOX_GROUP, FILE_UPLOAD}:
            result |= {"min_values": _min_values(component), "max_values": _max_values(component)}
        if kind == CONTAINER:
            result |= {"accent_color": component.get("accent_color"), "spoiler": bool(component.get("spoiler"))}
        if kind == SEPARATOR:
            divider = component.get("divider")
            result |= {"spacing": component.get("spacing") or 1, "divider": True if divider is None else divider}
        if kind == MEDIA_GALLERY:
            result["items"] = [_serialize_media(item, media) for item in component["items"]]
        if kind == THUMBNAIL:
            result |= _serialize_media(component, media)
        if kind == FILE:
            file = media(component["file"])
            name = file["url"].split("?")[0].rsplit("/", 1)[-1]
            size = file.pop("size", None)
            result |= {"file": file, "spoiler": bool(component.get("spoiler")), "name": name, "size": size}
        return result

    def _serialize_media(item: JSON, media: Callable[[JSON], JSON]) -> JSON:
        medium = media(item["media"])
        medium.pop("size", None)
        description = item.get("description")
        return {"media": medium, "description": description, "spoiler": bool(item.get("spoiler"))}

    return [write(component) for component in components]
