-- What the PDF needs beyond pandoc: alternative texts of pictures, and the boxes and tables of report.typ.

local function raw(text) return pandoc.RawBlock("typst", text) end
local function rawi(text) return pandoc.RawInline("typst", text) end
local function quoted(text) return '"' .. text:gsub("\\", "\\\\"):gsub('"', '\\"') .. '"' end

local function wrapped(open, blocks)
  local out = pandoc.Blocks { raw(open .. "[") }
  out:extend(blocks)
  out:insert(raw("]"))
  return out
end

local function picture(image, name)
  local alt = image.attributes.alt or pandoc.utils.stringify(image.caption)
  return "#" .. name .. "(" .. quoted(image.src) .. ", " .. quoted(alt) .. ")"
end

local function span_function(span)
  local first = span.classes[1]
  if first == "verdict" then
    return "#verdict(" .. quoted(span.classes[2]) .. ")"
  elseif first == "aside" or first == "below" or first == "chapter" or first == "count" or first == "another" or first == "reason" then
    return "#" .. first
  end
end

function Span(span)
  local name = span_function(span)
  if name then
    local out = pandoc.Inlines { rawi(name .. "[") }
    out:extend(span.content)
    out:insert(rawi("]"))
    return out
  end
end

-- A figure is named by its number where it stands in the same document.
function Link(link)
  local id = link.target:match("^#(figure%-.+)$")
  if id then
    return rawi("#ref(label(" .. quoted(id) .. "))")
  end
end

-- Chapters that start on a new page (the levels are shifted after the filters).
function Header(header)
  local id = header.identifier
  if header.level == 2 and (id == "outline" or id == "rule" or id:match("^study%-")) then
    return { raw("#pagebreak(weak: true)"), header }
  end
end

-- A formula with its TeX source as alternative text.
function Math(math)
  local block = math.mathtype == "DisplayMath"
  local set = pandoc.write(pandoc.Pandoc { pandoc.Plain { math } }, "typst"):gsub("%s+$", "")
  return rawi("#math.equation(block: " .. tostring(block) .. ", alt: " .. quoted(math.text) .. ", " .. set .. ")")
end

function Image(image)
  if image.classes[1] == "strip" then
    return rawi("#strip(" .. quoted(image.src) .. ")")
  end
end

function Para(para)
  if #para.content == 1 and para.content[1].tag == "Image" then
    local image = para.content[1]
    return raw(picture(image, image.classes[1] or "plot"))
  end
end

function Figure(figure)
  local image = figure.content[1].content[1]
  local kind = image.classes[1]
  if kind ~= "plot" then
    return raw(picture(image, kind))
  end
  local alt = image.attributes.alt or pandoc.utils.stringify(image.caption)
  local caption = pandoc.utils.blocks_to_inlines(figure.caption.long)
  caption:insert(1, rawi("#plot(" .. quoted(image.src) .. ", " .. quoted(alt) .. ", ["))
  local id = image.identifier ~= "" and image.identifier or figure.identifier
  caption:insert(rawi("])" .. (id ~= "" and (" <" .. id .. ">") or "")))
  return pandoc.Plain(caption)
end

local function cell_content(cell)
  return pandoc.write(pandoc.Pandoc(cell.contents), "typst"):gsub("%s+$", "")
end

local ALIGN = { AlignRight = "right", AlignCenter = "center" }

local function is_section(row)
  local first = row.cells[1].contents[1]
  local span = first and first.content and first.content[1]
  return span and span.tag == "Span" and span.classes:includes("section") and span
end

local LONG = 600 -- letters of a cell that may break across pages

-- A table written out by itself: column widths as fractions, a repeated head, rows that do not break across
-- pages; a short table stays on one page.
function Table(t)
  local columns, aligns, total = {}, {}, 0
  for _, spec in ipairs(t.colspecs) do
    total = total + (spec[2] or 0)
  end
  for i, spec in ipairs(t.colspecs) do
    local width = spec[2] or 0
    columns[i] = total > 0 and string.format("%.3ffr", width / total) or "auto"
    aligns[i] = ALIGN[spec[1]] or "left"
  end
  local rows = t.bodies[1].body
  local letters = 0
  for _, row in ipairs(rows) do
    for _, cell in ipairs(row.cells) do letters = letters + #pandoc.utils.stringify(pandoc.Div(cell.contents)) end
  end
  local short = #rows <= 12 and letters <= 1500
  local out = { "#report-table(keep: " .. tostring(short) .. ", columns: (" .. table.concat(columns, ", ") .. ",), align: (" .. table.concat(aligns, ", ") .. ",), " }
  local head = t.head.rows[1]
  local words = head and pandoc.utils.stringify(pandoc.Div(head.cells:map(function(c) return pandoc.Div(c.contents) end))) or ""
  if words ~= "" then
    local cells = {}
    for i, cell in ipairs(head.cells) do cells[i] = "strong[" .. cell_content(cell) .. "]" end
    table.insert(out, "table.header(" .. table.concat(cells, ", ") .. "), ")
  end
  for _, body in ipairs(t.bodies) do
    for _, row in ipairs(body.body) do
      local span = is_section(row)
      if span then
        table.insert(out, string.format("table.header(level: 2, section-row(%d, [%s])), ", #t.colspecs, cell_content(row.cells[1])))
      else
        for _, cell in ipairs(row.cells) do
          local long = #pandoc.utils.stringify(pandoc.Div(cell.contents)) > LONG
          table.insert(out, (long and "table.cell(breakable: true)[" or "[") .. cell_content(cell) .. "], ")
        end
      end
    end
  end
  table.insert(out, ")")
  return raw(table.concat(out, "\n"))
end

function Div(div)
  local state = div.attributes.state
  local label = div.identifier ~= "" and (" <" .. div.identifier .. ">") or ""
  local kind = div.classes[1]
  if state then
    local out = wrapped("#" .. kind .. "(" .. quoted(state) .. ")", div.content)
    out[#out] = raw("]" .. label)
    return out
  elseif kind == "counts" then
    local out = pandoc.Blocks { raw("#counts(") }
    for _, item in ipairs(div.content[1].content) do
      out:extend { raw("["), pandoc.Plain(pandoc.utils.blocks_to_inlines(item)), raw("],") }
    end
    out:insert(raw(")"))
    return out
  elseif kind == "explained" then
    return {} -- the page and `claimcheck show` tell every run's number
  elseif kind == "contents" then
    return raw("#contents()")
  elseif kind == "csl-entry" then
    local out = wrapped("#reference", div.content)
    out[#out] = raw("]" .. label)
    return out
  elseif kind == "study-text" or kind == "detail" or div.identifier == "refs" then
    return div.content
  elseif kind then
    return wrapped("#" .. kind, div.content)
  end
end

function DefinitionList(list)
  local out = pandoc.Blocks { raw("#facts-list(") }
  for _, item in ipairs(list.content) do
    out:insert(raw("["))
    out:insert(pandoc.Plain(item[1]))
    out:insert(raw("], ["))
    for _, blocks in ipairs(item[2]) do out:extend(blocks) end
    out:insert(raw("],"))
  end
  out:insert(raw(")"))
  return out
end
