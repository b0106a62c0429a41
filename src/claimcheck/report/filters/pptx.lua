-- What slides need beyond pandoc: verdicts told by a sign, a word and a colour, formulas as text (a title in Office's own
-- markup of formulas is lost on other programs), alternative texts of pictures.

local SIGNS = {
  supported = { "✔", "007A59" },
  contradicted = { "✖", "B34E00" },
  mixed = { "◩", "8A3F6B" },
  inconclusive = { "◇", "0B66A0" },
  holds = { "=", "3D4A57" },
  ["does-not-hold"] = { "≠", "B34E00" },
  ["not-testable"] = { "–", "5E5E5E" },
}
local OPEN = { "○", "5E5E5E" }

function Span(span)
  if span.classes[1] == "verdict" then
    local sign = SIGNS[span.classes[2]] or OPEN
    local word = pandoc.utils.stringify(span.content)
    return pandoc.RawInline(
      "openxml",
      '<a:r><a:rPr lang="en-US" b="1"><a:solidFill><a:srgbClr val="' .. sign[2] .. '"/></a:solidFill></a:rPr><a:t>'
        .. sign[1] .. " " .. word .. "</a:t></a:r>"
    )
  end
end

function Math(math)
  local text = pandoc.write(pandoc.Pandoc { pandoc.Plain { math } }, "plain", { wrap_text = "none" })
  for _, space in ipairs { "\u{2004}", "\u{2005}", "\u{2006}", "\u{2009}", "\u{200A}", "\u{205F}", "\u{00A0}" } do
    text = text:gsub(space, " ")
  end
  return pandoc.Str((text:gsub("%s+$", "")))
end

function Image(image)
  image.title = image.attributes.alt or ""
  return image
end
