-- What HTML needs beyond pandoc: the shapes of verdicts (each written once) and the pictures of regions drawn in the page
-- (so that they follow light and dark), rows of the first table with labels for narrow screens, figures in a box that can scroll.

local function read(path)
  local file = assert(io.open(path, "r"))
  local text = file:read("a")
  file:close()
  return (text:gsub("%s+$", ""))
end

local shapes, used = {}, {}
local function shape(state)
  if not shapes[state] then
    local body = read("pictures/verdict-" .. state .. ".svg"):match("^<svg[^>]*>(.*)</svg>$")
    table.insert(used, '<symbol id="shape-' .. state .. '" viewBox="0 0 16 16">' .. body .. "</symbol>")
    local mark = '<svg class="shape" aria-hidden="true"><use href="#shape-' .. state .. '"/></svg>'
    shapes[state] = pandoc.RawInline("html", mark)
  end
  return shapes[state]
end

function Pandoc(doc)
  if #used > 0 then
    local open = '<svg class="shape quiet" aria-hidden="true">'
    doc.blocks:insert(pandoc.RawBlock("html", open .. table.concat(used) .. "</svg>"))
  end
  return doc
end

function Span(span)
  if span.classes[1] == "verdict" then
    span.content:insert(1, shape(span.classes[2]))
    return span
  end
end

-- Of these pictures there are hundreds: the style sheet says how they look. Marks, whose pens differ, say it themselves.
local IDLE = { "fill", "fill%-opacity", "stroke", "stroke%-width" }
local function without_looks(picture)
  picture = picture:gsub(' xmlns="[^"]*"', "", 1):gsub(' font%-family="[^"]*" font%-size="11"', "", 1)
  return (picture:gsub("<%a+ class=[^>]*>", function(tag)
    if tag:match('^<%a+ class="unit') then
      return tag
    end
    for _, name in ipairs(IDLE) do
      tag = tag:gsub(" " .. name .. '="[^"]*"', "")
    end
    return tag
  end))
end

function Image(image)
  if image.classes:includes("region") or image.classes:includes("share") or image.classes:includes("strip") then
    local picture = read(image.src)
    return pandoc.RawInline("html", image.classes:includes("share") and picture or without_looks(picture))
  end
end

function Figure(figure)
  local image = figure.content[1].content[1]
  if image and image.tag == "RawInline" then
    return pandoc.Div(figure.content, pandoc.Attr("", { "picture" }))
  end
end

-- Alignment by class, not by inline style; on narrow screens a cell shows the name of its column.
local function dressed(row, names, specs)
  for i, cell in ipairs(row.cells) do
    cell.attributes["data-label"] = names[i]
    if specs[i][1] == "AlignRight" then
      cell.classes:insert("number")
    end
  end
end

local function section_row(row)
  local first = row.cells[1].contents[1]
  local span = first and first.content and first.content[1]
  if span and span.tag == "Span" and span.classes:includes("section") then
    row.attr.classes:insert("section")
    row.cells[1].col_span = #row.cells
    row.cells = { row.cells[1] }
    return true
  end
end

function Table(t)
  local kind = t.classes[1] or "plain"
  local names, head = {}, t.head.rows[1]
  for i, cell in ipairs(head and head.cells or {}) do
    names[i] = pandoc.utils.stringify(cell.contents)
    cell.attributes.scope = "col"
    if t.colspecs[i][1] == "AlignRight" then
      cell.classes:insert("number")
    end
  end
  for _, body in ipairs(t.bodies) do
    for _, row in ipairs(body.body) do
      if not section_row(row) then
        dressed(row, names, t.colspecs)
      end
    end
  end
  t.colspecs = t.colspecs:map(function(spec) return { "AlignDefault", spec[2] } end)
  t.caption = pandoc.Caption()
  return pandoc.Div({ t }, pandoc.Attr("", { "table", "table-" .. kind }))
end

-- A list of references as HTML's own list: pandoc makes boxes of it that are only called one.
local function within(open, blocks, close)
  local out = pandoc.Blocks { pandoc.RawBlock("html", open) }
  out:extend(blocks)
  out:insert(pandoc.RawBlock("html", close))
  return out
end

function Div(div)
  if div.identifier == "refs" then
    return within('<ul class="references">', div.content, "</ul>")
  elseif div.classes:includes("csl-entry") then
    return within('<li class="csl-entry" id="' .. div.identifier .. '">', div.content, "</li>")
  end
  local state = div.attributes.state
  if state then
    div.classes:insert(state)
    if div.attributes.kind then
      div.classes:insert(div.attributes.kind)
    end
    div.attributes = {}
    return div
  elseif div.classes:includes("contents") then
    return {}
  elseif div.classes:includes("detail") or div.classes:includes("explained") then
    -- In a box of its own: the last section in it would else take in what closes the fold.
    local summary = div.attributes.summary:gsub("&", "&amp;"):gsub("<", "&lt;")
    local open = '<details class="' .. div.classes[1] .. '"><summary>' .. summary .. "</summary>"
    return pandoc.Div { pandoc.RawBlock("html", open), pandoc.Div(div.content), pandoc.RawBlock("html", "</details>") }
  end
end
