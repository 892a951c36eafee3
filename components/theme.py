"""The look: one theme, one stylesheet, one small script. No web fonts, no third-party request."""

from __future__ import annotations

from html import escape
from pathlib import Path

import gradio as gr

FONT = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")

STYLESHEET = Path(__file__).with_name("style.css")
CARD_STYLESHEET = Path(__file__).with_name("card.css")
CHAT_STYLESHEET = Path(__file__).with_name("chat.css")
FRAME = Path(__file__).with_name("frame.css")
SCRIPT = Path(__file__).with_name("page.js")


def theme() -> gr.themes.Base:
    """Neutral greys, one teal accent, hairlines instead of shadows, radius 8, text 14 px."""
    teal = gr.themes.Color(
        name="teal-deep",
        c50="#eef7f6", c100="#d5ecea", c200="#abd8d4", c300="#7cc0ba", c400="#4aa49c",
        c500="#23877f", c600="#0f6e67", c700="#0c5953", c800="#0a4743", c900="#083a37", c950="#042220",
    )  # fmt: skip
    grey = gr.themes.Color(
        name="grey-calm",
        c50="#f8f9f9", c100="#f1f3f3", c200="#e4e7e8", c300="#d2d7d9", c400="#9aa3a7",
        c500="#6b757a", c600="#525b60", c700="#3c4448", c800="#23292c", c900="#171c1e", c950="#0f1315",
    )  # fmt: skip
    base = gr.themes.Base(
        primary_hue=teal,
        secondary_hue=grey,
        neutral_hue=grey,
        text_size=gr.themes.Size(
            name="text", xxs="10px", xs="11px", sm="12px", md="14px", lg="14px", xl="18px", xxl="22px"
        ),
        spacing_size=gr.themes.sizes.spacing_md,
        radius_size=gr.themes.Size(
            name="radius", xxs="3px", xs="4px", sm="6px", md="8px", lg="8px", xl="8px", xxl="8px"
        ),
        font=FONT,
        font_mono=MONO,
    )
    return base.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        background_fill_primary="white",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_50",
        background_fill_secondary_dark="*neutral_950",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_800",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_text_size="12px",
        block_label_text_weight="500",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_400",
        block_title_text_size="12px",
        block_title_text_weight="500",
        block_title_text_color="*neutral_600",
        block_title_text_color_dark="*neutral_400",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
        block_shadow="none",
        block_shadow_dark="none",
        border_color_primary="*neutral_200",
        border_color_primary_dark="*neutral_800",
        input_background_fill="white",
        input_background_fill_dark="*neutral_950",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        input_border_width="1px",
        input_shadow="none",
        input_shadow_focus="0 0 0 2px *primary_200",
        input_shadow_focus_dark="0 0 0 2px *primary_800",
        input_border_color_focus="*primary_500",
        input_border_color_focus_dark="*primary_500",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="white",
        button_primary_border_color="*primary_600",
        button_secondary_background_fill="white",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_dark="*neutral_900",
        button_secondary_background_fill_hover_dark="*neutral_800",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        button_secondary_text_color="*neutral_800",
        button_secondary_text_color_dark="*neutral_200",
        button_cancel_background_fill="white",
        button_cancel_background_fill_hover="*neutral_100",
        button_cancel_background_fill_dark="*neutral_900",
        button_cancel_background_fill_hover_dark="*neutral_800",
        button_cancel_border_color="#a3261c",
        button_cancel_border_color_dark="#f0988f",
        button_cancel_text_color="#a3261c",
        button_cancel_text_color_dark="#f0988f",
        button_border_width="1px",
        button_large_text_size="14px",
        button_large_text_weight="500",
        button_large_padding="8px 14px",
        button_small_text_size="13px",
        button_small_padding="6px 10px",
        button_transform_hover="none",
        button_transform_active="none",
        button_transition="background-color 120ms",
        checkbox_label_background_fill="transparent",
        checkbox_label_background_fill_dark="transparent",
        checkbox_label_border_width="1px",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
        loader_color="*primary_500",
        slider_color="*primary_500",
        color_accent_soft_dark="*primary_950",
        border_color_accent_subdued_dark="*primary_800",
        layout_gap="12px",
    )


def policy(endpoint: str) -> str:
    """What the page may load: an answer or a message that names a picture elsewhere must not tell anybody it was read.

    Pictures of cards come from the Hub, which hands the large ones to its own storage hosts.
    """
    hub = f"{escape(endpoint, quote=True)} https://*.hf.co https://*.huggingface.co"
    pictures = f"img-src 'self' data: blob: {hub}; media-src 'self' data: blob:"
    return f"{pictures}; frame-src 'self'; object-src 'none'; base-uri 'self'"


def head(endpoint: str) -> str:
    """What the page may load, the outer stylesheet and the script, for the page's head."""
    allowed = f'<meta http-equiv="Content-Security-Policy" content="{policy(endpoint)}">'
    return f"{allowed}<style>{FRAME.read_text(encoding='utf-8')}</style><script>{SCRIPT.read_text(encoding='utf-8')}</script>"
