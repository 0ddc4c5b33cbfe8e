# frozen_string_literal: true

# The text of a document of netkeel, for a file or for standard input. Keys are sorted, so that the text does not depend
# on the order in which Hiera found them, and `version: 1` is added.
Puppet::Functions.create_function(:'netkeel::document') do
  # @param content The document, without `version`.
  # @param heading A comment at its top.
  # @return [String] YAML
  # @example A layer for staging
  #   netkeel::document({ 'link' => { 'eth0' => { 'mtu' => 1460 } } }, 'Made by Puppet.')
  dispatch :document do
    param 'Hash[String[1], Any]', :content
    optional_param 'String', :heading
    return_type 'String'
  end

  def document(content, heading = nil)
    comment = heading.to_s.lines.map { |line| "# #{line.chomp}\n" }.join
    comment + sorted({ 'version' => 1 }.merge(content)).to_yaml.delete_prefix("---\n")
  end

  def sorted(value)
    case value
    when Hash then value.sort_by { |key, _| key.to_s }.to_h { |key, inner| [key.to_s, sorted(inner)] }
    when Array then value.map { |inner| sorted(inner) }
    else value
    end
  end
end
