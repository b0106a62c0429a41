-- Parses the fenced blocks of class `study-text` (method, notes) apart from the document: nothing in them can close a
-- box, define an id, run code or load a picture. Their headings become bold lines; only web and in-page links stay, and
-- citations whose keys have the form of keys (a name, a year, a word): any other word after an @ is text.

local READER = "markdown-raw_html-raw_tex-raw_attribute-native_divs-native_spans-fenced_divs-bracketed_spans"
  .. "-header_attributes-auto_identifiers-fenced_code_attributes-inline_code_attributes-link_attributes"
  .. "-footnotes-inline_notes-yaml_metadata_block-pandoc_title_block-example_lists-implicit_figures-table_attributes"

local tame = {
  Header = function(header) return pandoc.Para { pandoc.Strong(header.content) } end,
  Image = function(image)
    error("study text must not hold pictures (they belong under `figures:`): " .. image.src)
  end,
  Link = function(link)
    if link.target:match("^https?://") or link.target:match("^#") then
      return pandoc.Link(link.content, link.target)
    end
    return link.content
  end,
  Cite = function(cite)
    for _, each in ipairs(cite.citations) do
      if not each.id:match("^%l[%l-]*%d%d%d%d%l*$") then
        return cite.content
      end
    end
  end,
}

function CodeBlock(block)
  if block.classes:includes("study-text") then
    local parsed = pandoc.read(block.text, READER)
    return pandoc.Div(parsed:walk(tame).blocks, pandoc.Attr("", { "study-text" }))
  end
end
