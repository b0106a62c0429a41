-- In the short report a link to what only the whole one has leads to evidence.pdf. Runs before the others' filters write
-- anything out.

function Pandoc(doc)
  if not doc.meta.brief then
    return nil
  end
  local here = {}
  local function note(element)
    here[element.identifier or ""] = true
  end
  doc:walk { Header = note, Div = note, Span = note, Image = note, Figure = note }
  return doc:walk {
    Link = function(link)
      local id = link.target:match("^#(.+)$")
      if id and not here[id] then
        -- Of its places only headings have names that a link from without finds.
        local study = id:match("^figure%-([^-]+)%-")
        link.target = "evidence.pdf#" .. (study and "figures-" .. study or id)
        if study then
          link.content:extend { pandoc.Space(), pandoc.Str("in"), pandoc.Space(), pandoc.Str("evidence.pdf") }
        end
        return link
      end
    end,
  }
end
